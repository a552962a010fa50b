"""What Switch does for its callers, one module a noun."""
