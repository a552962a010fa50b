"""Chats that go on while a test breaks things, and what became of each of them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from tests.support.chats import Streamed, Talk
from tests.support.eventually import eventually

SEA = "Write one sentence about the sea."
AT_ONCE = 3
PAUSE_SEC = 0.05
HEALS_WITHIN_SEC = 60


@dataclass
class Load:
    """Chats that go on whatever happens, and how each ended; named by correlation id. `stream` is a `Talk`'s."""

    stream: Callable[..., Awaitable[Streamed]]
    answered: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    unsaid: list[Streamed] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    async def chat(self) -> None:
        """Chat for ever, a short pause after each failure."""
        while True:
            name = f"load-{next(self._numbers)}"
            try:
                seen = await self.stream(SEA, headers={"x-correlation-id": name}, max_tokens=16)
            except httpx.TransportError:  # the door itself died
                self.failed.append(name)
                await asyncio.sleep(PAUSE_SEC)
                continue
            if seen.whole:
                self.answered.append(name)
            else:
                self.failed.append(name)
                if seen.status == 200 and seen.error is None:
                    self.unsaid.append(seen)
                await asyncio.sleep(PAUSE_SEC)

    async def count(self) -> int:
        """Chats answered so far."""
        return len(self.answered)

    async def goes_on(self, more: int) -> None:
        """Return when so many more chats have been answered."""
        wanted = len(self.answered) + more
        await eventually(self.count, lambda count: count >= wanted, within_sec=HEALS_WITHIN_SEC)


@asynccontextmanager
async def under_load(stream: Callable[..., Awaitable[Streamed]]) -> AsyncIterator[Load]:
    """Several chats at once while the block runs."""
    load = Load(stream)
    chats = [asyncio.create_task(load.chat()) for _ in range(AT_ONCE)]
    try:
        yield load
    finally:
        for chat in chats:
            chat.cancel()
        await asyncio.gather(*chats, return_exceptions=True)


async def succeeds(talk: Talk, path: str) -> bool:
    """Whether a GET succeeds now."""
    try:
        return (await talk.call("GET", path)).status_code == 200
    except httpx.TransportError:
        return False
