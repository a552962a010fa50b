"""The executor of an event loop that holds back what one task wants to write until a test lets it.

What a coroutine hands to `Database.writing` is given its arguments at once and its turn later. Between the two somebody
else may commit: this makes that moment as long as a test needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

_WRITING = "Database.writing."


class HeldWrites(ThreadPoolExecutor):
    """Give it to `loop.set_default_executor`; it holds the writes of the task called `of`."""

    def __init__(self, of: str) -> None:
        super().__init__(max_workers=4)
        self.arrived = asyncio.Event()
        self._of: str | None = of
        self._held: list[Callable[[], object]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        task = asyncio.current_task()
        if task is None or task.get_name() != self._of or not _writes(fn):
            return super().submit(fn, *args, **kwargs)
        outcome: Future[Any] = Future()
        self._held.append(lambda: _passed_on(super(HeldWrites, self).submit(fn, *args, **kwargs), outcome))
        self.arrived.set()
        return outcome

    def let_go(self) -> None:
        """What was held has its turn now, and what comes has its own."""
        self._of = None
        for held in self._held:
            held()
        self._held.clear()


def _writes(fn: Callable[..., Any]) -> bool:
    """Whether `asyncio.to_thread` was given a unit of `Database.writing`."""
    given = getattr(fn, "args", (None,))[0]
    return _WRITING in getattr(given, "__qualname__", "")


def _passed_on(begun: Future[Any], outcome: Future[Any]) -> None:
    def over(done: Future[Any]) -> None:
        if (error := done.exception()) is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(done.result())

    begun.add_done_callback(over)
