"""Wire models, one module per noun, imported by both sides of a call."""
