"""One job's hold on the threads that work for it: they say how far they are, and are told to stop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from hermes.meter import Meter

P = ParamSpec("P")
T = TypeVar("T")


class Stopped(Exception):
    """The job was cancelled; raised inside its threads."""


class JobWork:
    """What a fetcher gets to report through; `at` is called with each chunk, in whatever thread moves it.

    `settling` is set once the file is verified and on its way into the registry: too late to stop.
    """

    def __init__(self, meter: Meter, monotonic: Callable[[], float]) -> None:
        self.meter = meter
        self._monotonic = monotonic
        self._stop = threading.Event()
        self.settling = False

    def looking(self) -> None:
        """The file's header is being read where it is."""
        self.meter.enter("looking", self._monotonic())

    def downloading(self, total: int | None) -> None:
        """The bytes are coming from outside."""
        self.meter.enter("downloading", self._monotonic(), total)

    def joining(self, total: int) -> None:
        """The parts are being put together."""
        self.meter.enter("joining", self._monotonic(), total)

    def verifying(self, total: int | None) -> None:
        """The file is being read and compared."""
        self.meter.enter("verifying", self._monotonic(), total)

    def stop(self) -> None:
        """Tell the job's threads to stop at their next chunk."""
        self._stop.set()

    def at(self, done: int, total: int | None = None) -> None:
        """`done` bytes of this phase are done; Stopped if the job was cancelled meanwhile."""
        self.meter.at(done, total)
        if self._stop.is_set():
            raise Stopped

    async def in_thread(self, act: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `act` in a thread; when cancelled, tell it to stop and wait until it has let go of its files."""
        running = asyncio.ensure_future(asyncio.to_thread(act, *args, **kwargs))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self.stop()
            await asyncio.wait([running])
            if not running.cancelled():
                running.exception()  # taken note of: it ends with Stopped, or with what no longer matters
            raise
