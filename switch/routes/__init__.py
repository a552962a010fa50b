"""HTTP of Switch: OpenAI's paths and its own, one module a noun."""
