"""The newest events of the journal, read once for all of a process who follow them.

However many follow, one of them looks whether something was committed, and reads it once. What was read is kept for a
while; whoever is slower than that, or comes with an older id, reads the table until it is where the others are. So
nothing queues up for anybody, and nobody is sent away for being slow.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from config.contracts.events import Event
from config.db import CommitWatcher
from config.errors import Unavailable

KEPT = 256  # events; at most 4 KiB each (`MAX_EVENT_BYTES`)
BAD_WEATHER_SEC = 1.0
_log = logging.getLogger(__name__)


class Tail:
    """Reads on for as long as it is not closed. `newest` tells the newest id there is, `page` the next events after an
    id, none where there are none; `watch` gives something that notices commits."""

    def __init__(
        self,
        watch: Callable[[], CommitWatcher],
        newest: Callable[[], Awaitable[int]],
        page: Callable[[int], Awaitable[list[Event]]],
    ) -> None:
        self._watch = watch
        self._newest = newest
        self._page = page
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._since: int | None = None  # all events above this id that were read are kept; None: not one was yet
        self._last = 0
        self.followers = 0
        self.news = asyncio.Event()
        self._reading = asyncio.create_task(self._read_on(), name="tail of the journal")

    @property
    def is_over(self) -> bool:
        """Whether it came to an end by itself, which is a failure."""
        return self._reading.done()

    def after(self, last: int) -> list[Event] | None:
        """What was read after `last`, in order; None where it is known to the table alone."""
        if self._since is None or last < self._since:
            return None
        newer = itertools.takewhile(lambda event: event.id > last, reversed(self._kept))
        return list(newer)[::-1]

    async def told(self, news: asyncio.Event) -> None:
        """Return once there is more than when `news` was taken from here; why nothing comes any more is raised."""
        await news.wait()
        if self._reading.done():
            self._reading.result()

    async def close(self) -> None:
        """Stop reading."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read_on(self) -> None:
        try:
            watcher = await self._made()
            try:
                while True:
                    await self._look(watcher)
            finally:
                watcher.close()
        finally:
            self.news.set()  # whoever waits shall hear that nothing comes any more

    async def _made(self) -> CommitWatcher:
        """A watcher; one that is made while this is cancelled is closed, for nobody else will."""
        making = asyncio.ensure_future(asyncio.to_thread(self._watch))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            (await making).close()
            raise

    async def _look(self, watcher: CommitWatcher) -> None:
        """Read what is new, and wait for more; those who follow outlive that the database does not answer."""
        try:
            await self._take()
            await watcher.committed()
        except Unavailable as error:
            _log.warning("events are not read for now: %s", error)
            await asyncio.sleep(BAD_WEATHER_SEC)

    async def _take(self) -> None:
        if self._since is None:
            self._since = self._last = await self._newest()
            self._ring()
        while page := await self._page(self._last):
            for event in page:
                if len(self._kept) == KEPT:
                    self._since = self._kept[0].id
                self._kept.append(event)
                self._last = event.id
            self._ring()

    def _ring(self) -> None:
        news, self.news = self.news, asyncio.Event()
        news.set()
