"""From the engine's thread to the coroutine that answers: one outlet a request.

The engine calls the event loop once a step with what all sequences gave (`distribute`), not once a token.
What a slow reader has not taken yet is joined, so it holds at most one answer's text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from config.errors import VX11Error
from switch.worker.chances import Chance
from switch.worker.sequence import Finish


class GoneError(Exception):
    """The client has closed the connection; there is nobody to answer."""


@dataclass(frozen=True, slots=True)
class End:
    """How an answer ended, with its counts; seconds are from the admission of the request.

    `cached_tokens` of the prompt were known already and not evaluated.
    """

    finish: Finish
    prompt_tokens: int
    completion_tokens: int
    prompt_seconds: float
    decode_seconds: float
    cached_tokens: int = 0


class Output(NamedTuple):
    """What one step gave to one request: text that may be shown, and the end or the error that closes it."""

    outlet: Outlet
    text: str
    end: End | VX11Error | None
    chances: tuple[Chance, ...] = ()


class Part(NamedTuple):
    """What a reader takes at once: text, the chances of its tokens where they were asked for, and the end."""

    text: str
    end: End | None
    chances: tuple[Chance, ...] = ()


class Outlet:
    """The event loop's end of one request. Not thread-safe: touched on the loop only."""

    __slots__ = ("_chances", "_end", "_texts", "_waiter")

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._chances: list[Chance] = []
        self._end: End | VX11Error | GoneError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def push(self, text: str, end: End | VX11Error | GoneError | None, chances: Iterable[Chance] = ()) -> None:
        """Add what one step gave and wake the reader."""
        self._chances += chances
        if text:
            self._texts.append(text)
        if end is not None:
            self._end = end
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def take(self) -> Part:
        """All text since the last call, at least some or the end; raises the error that closed the request."""
        while not self._texts and self._end is None:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        text, chances = "".join(self._texts), tuple(self._chances)
        self._texts.clear()
        self._chances.clear()
        if isinstance(self._end, End | None):
            return Part(text, self._end, chances)
        if text:
            return Part(text, None, chances)
        raise self._end


def distribute(outputs: Iterable[Output]) -> None:
    """Hand the outputs of one step to their outlets; runs on the event loop."""
    for outlet, text, end, chances in outputs:
        outlet.push(text, end, chances)
