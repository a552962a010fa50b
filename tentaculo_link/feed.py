"""The live event stream as server-sent events (WHATWG HTML, section 9.2).

Events are read from the journal by id, so a slow client only reads later, nothing queues up for it in
memory, and `Last-Event-ID` resumes exactly where it stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from config.contracts.events import Event
from config.events import Journal

_HEARTBEAT_SEC = 15.0
_HELLO = b": connected\nretry: 2000\n\n"
_HEARTBEAT = b": heartbeat\n\n"


def frame(event: Event) -> bytes:
    """One event in the wire form; JSON holds no raw line break, so one data line is enough."""
    return f"id: {event.id}\nevent: {event.type}\ndata: {event.model_dump_json()}\n\n".encode()


async def frames(journal: Journal, after: int | None, prefixes: tuple[str, ...]) -> AsyncIterator[bytes]:
    """The stream's bytes for ever: a hello, events, and a heartbeat when nothing happens.

    Whoever has read the hello hears everything from then on.
    """
    after = await journal.newest() if after is None else after
    yield _HELLO
    async with contextlib.aclosing(journal.subscribe(after, prefixes)) as events:
        upcoming = asyncio.ensure_future(anext(events))
        try:
            while True:
                done, _ = await asyncio.wait({upcoming}, timeout=_HEARTBEAT_SEC)
                if not done:
                    yield _HEARTBEAT
                    continue
                yield frame(upcoming.result())
                upcoming = asyncio.ensure_future(anext(events))
        finally:
            upcoming.cancel()
            await asyncio.gather(upcoming, return_exceptions=True)
