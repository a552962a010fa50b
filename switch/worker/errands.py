"""Work for the engine's thread that is no answer: done a little at a time, between the batches of answers."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from config.errors import TooManyRequests, VX11Error


class Errand(Protocol):
    """One piece of work. Both methods are called on the engine's thread."""

    def step(self, threads: int) -> bool:
        """Do a little, with so many threads; True when nothing is left to do."""

    def fail(self, error: VX11Error) -> None:
        """It will not be done."""


class Errands:
    """Those that wait, in the order they came; the engine's lock guards `add`."""

    def __init__(self, most: int) -> None:
        self._waiting: deque[Errand] = deque()
        self._most = most

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, errand: Errand) -> None:
        """Queue one; raises TooManyRequests."""
        if len(self._waiting) >= self._most:
            raise TooManyRequests(f"{len(self._waiting)} requests wait for vectors already.", retry_after_sec=1)
        self._waiting.append(errand)

    def step(self, threads: int) -> None:
        """A little of the first; the next begins when that is done, since they share one memory."""
        if self._waiting and self._waiting[0].step(threads):
            self._waiting.popleft()

    def fail_all(self, error: VX11Error) -> None:
        """Tell everybody that it will not be done."""
        while self._waiting:
            self._waiting.popleft().fail(error)
