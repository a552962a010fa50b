"""The foundation: what must be the same in every room, once.

It imports no room. A file lives here because at least two rooms need it and it has to mean the same in
both. Start reading at `services.py` (the table of the house), then `app.py` (what every service is made of).
"""
