"""Answers that stream, and stop being made when their reader goes.

`while_connected` runs work beside a watch on the client; `Streamed` is a response whose head and pieces
come from one async iterator, so that an error before the first piece is still a proper problem+json.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

T = TypeVar("T")
Pairs = tuple[tuple[bytes, bytes], ...]

GONE = 499  # gone before an answer began (nginx's number for it)
_WATCH_AFTER_SEC = 0.02


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

    The request's body must have been read. `work` runs in the current task. A server reports a finished
    answer as a disconnect too, so what must happen after the last piece does not belong into `work`.
    """
    guard = _Guard(receive)
    try:
        return await work
    except asyncio.CancelledError:
        if guard.gone and guard.task.uncancel() == 0:
            raise ClientGone from None
        raise
    finally:
        guard.finish()


class _Guard:
    """Watches the client of one answer, once the answer takes long enough to be worth a task."""

    def __init__(self, receive: Receive) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.task = task
        self.gone = False
        self.is_finished = False
        self._receive = receive
        self._watch: asyncio.Task[None] | None = None
        _Beat.of(task.get_loop()).newcomers.add(self)

    def begin_watch(self) -> None:
        """The answer is taking its time: look whether its client is still there."""
        if not self.is_finished:
            self._watch = asyncio.create_task(self._until_gone())

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self.is_finished:
            self.gone = True
            self.task.cancel()

    def finish(self) -> None:
        """The answer is over; nothing is cancelled any more."""
        self.is_finished = True
        if self._watch is not None:
            self._watch.cancel()


class _Beat:
    """One timer for all guards of an event loop, because most answers are quicker than a timer is worth:
    who is still there at the second beat after its beginning gets a watch. Stops when nobody is left."""

    _beating: ClassVar[dict[asyncio.AbstractEventLoop, _Beat]] = {}

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.newcomers: set[_Guard] = set()
        self._seasoned: set[_Guard] = set()
        self._loop = loop
        loop.call_later(_WATCH_AFTER_SEC, self._beat)

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> _Beat:
        """The beat of `loop`, begun if it stood still."""
        beat = cls._beating.get(loop)
        if beat is None:
            beat = cls._beating[loop] = cls(loop)
        return beat

    def _beat(self) -> None:
        for guard in self._seasoned:
            guard.begin_watch()
        self._seasoned = {guard for guard in self.newcomers if not guard.is_finished}
        if self.newcomers:
            self.newcomers = set()
            self._loop.call_later(_WATCH_AFTER_SEC, self._beat)
        else:
            self._beating.pop(self._loop, None)


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
