"""HTTP of madre: power, plans, and what speaks in sentences, one module a noun."""
