"""All SQL of madre's tables, one module a noun. Every function takes a session; none commits."""
