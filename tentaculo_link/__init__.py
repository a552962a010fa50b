"""The one front door: who may enter, how fast, where to, and waking whom it leads to.

Owns the rows of `api_tokens` (a kernel table). Calls madre (waking, windows, power) and passes everything
else on as bytes to the service whose path it is. It never looks into a body.
"""
