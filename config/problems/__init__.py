"""Errors on the wire: the tree of `errors.py` to problem+json (`outgoing`), back again (`incoming`), and the
handlers that do so for FastAPI (`handlers`)."""
