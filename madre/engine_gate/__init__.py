"""A gate before Docker's engine: it lets through what madre's compose driver needs, for her project, and nothing else.

Whoever may speak to the engine's socket is root on the host. With the overlay `docker-compose.socket-proxy.yml` the
socket is held by this process alone, in a container without network, and madre speaks to its socket instead. A filter
by method and path would not be worth its name (who may create containers may mount `/`), so the gate reads what is to
be created, and asks the engine whose the thing is that is to be touched. What it does not know it refuses.

    rules.py     what may pass: pure
    passage.py   how it passes: bytes there and back
    __main__.py  `python -m madre.engine_gate`
"""
