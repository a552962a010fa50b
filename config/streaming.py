"""Answers that stream, and stop being made when their reader goes.

`while_connected` runs work beside a watch on the client; `Streamed` is a response whose head and pieces
come from one async iterator, so that an error before the first piece is still a proper problem+json.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable
from dataclasses import dataclass
from typing import TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

T = TypeVar("T")
Pairs = tuple[tuple[bytes, bytes], ...]


class ClientGone(Exception):
    """The client closed the connection; nobody is there to answer, so nothing is sent."""


class CutOff(Exception):
    """An answer that cannot be completed; raised after its head was sent, so that the server closes the
    connection and the client sees that something is missing."""


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of an answer: status and raw headers (lower-case names)."""

    status: int
    headers: Pairs


async def while_connected(receive: Receive, work: Awaitable[T]) -> T:
    """The result of `work`; cancels it and raises ClientGone when the client disconnects first.

    The request's body must have been read. `work` runs in the current task, so it costs one small task
    more, not two. A server reports a finished answer as a disconnect too: what must happen after the last
    piece was sent does not belong into `work`.
    """
    current = asyncio.current_task()
    assert current is not None
    finished = gone = False

    def on_gone(_watch: asyncio.Task[None]) -> None:
        nonlocal gone
        if not finished:
            gone = True
            current.cancel()

    watch = asyncio.create_task(_disconnected(receive))
    watch.add_done_callback(on_gone)
    try:
        return await work
    except asyncio.CancelledError:
        if gone and current.uncancel() == 0:
            raise ClientGone from None
        raise
    finally:
        finished = True
        watch.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Streamed(Response):
    """An answer whose first item is its Head and whose further items are pieces of its body.

    The iterator is closed in any case: when it is through, when it fails, when the client goes.
    """

    def __init__(self, items: AsyncGenerator[Head | bytes, None]) -> None:
        self._items = items
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send head and pieces as they come."""
        async with contextlib.aclosing(self._items):
            with contextlib.suppress(ClientGone):
                await while_connected(receive, self._send_all(send))

    async def _send_all(self, send: Send) -> None:
        async for item in self._items:
            if isinstance(item, Head):
                await send({"type": "http.response.start", "status": item.status, "headers": item.headers})
            else:
                await send({"type": "http.response.body", "body": item, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
