"""The driver that only plays: services are up the moment they are started. For trying policies out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from config.clock import Clock
from config.services import CORE
from madre.drivers import Observed, Usage


class NoopDriver:
    """Remembers what was started; says `simulated: true` wherever it is asked about itself."""

    name = "noop"
    simulated = True

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lives = 0
        self._running: dict[str, Observed] = {}
        self._changed: asyncio.Queue[str] = asyncio.Queue()
        for service in CORE:
            self._begin(service)

    async def start(self, service: str) -> None:
        """Have it run, and be ready, at once."""
        if service not in self._running:
            self._begin(service)
            self._changed.put_nowait(service)

    async def stop(self, service: str) -> None:
        """Have it gone at once."""
        if self._running.pop(service, None):
            self._changed.put_nowait(service)

    async def observe(self) -> Mapping[str, Observed]:
        """What was started and not stopped, and the core."""
        return dict(self._running)

    async def events(self) -> AsyncIterator[str]:
        """Each service as it is started or stopped."""
        while True:
            yield await self._changed.get()

    async def usage(self) -> Mapping[str, Usage]:
        """Nothing: what does not run takes nothing."""
        return {}

    async def last_words(self, service: str) -> str:
        """Nothing was ever said."""
        return ""

    def _begin(self, service: str) -> None:
        self._lives += 1
        self._running[service] = Observed(f"simulated-{self._lives}", self._clock.now(), ready=True)
