"""Watches the machine while the engine works, from a thread of its own, and says how many threads a step may use.

It must look in the middle of a step: a step that two threads share with a third program can take seconds. Such a step
is aborted, and done again with fewer threads. What is decided stands in `pressure.py`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from switch.worker.cores import Idle, Waited
from switch.worker.pressure import Pressure, Reading

_LOOK_SEC = 0.04  # a few steps: one preemption by our own chain is no sign


class Watch:
    """Tells the engine how many threads to use. `begins`, `rests` and `threads` are for the engine's thread."""

    def __init__(self, most: int, abort: Callable[[], None], read: Callable[[], Reading] | None = None) -> None:
        clocks = Clocks()
        self._read = read or clocks.read
        self._abort = abort
        self._pressure = Pressure(most if read or clocks.tell else 1)
        self._step_threads = 0
        self._bout = 0
        self._at_work = threading.Event()
        self._is_over = threading.Event()
        if self._pressure.threads > 1:
            threading.Thread(target=self._run, name="watch", daemon=True).start()

    def threads(self, most: int) -> int:
        """Threads for the step that begins now, at most `most`."""
        self._step_threads = min(most, self._pressure.threads)
        return self._step_threads

    def begins(self) -> None:
        """There is work, again or still."""
        if not self._at_work.is_set():
            self._bout += 1
            self._at_work.set()

    def rests(self) -> None:
        """There is nothing to do."""
        self._step_threads = 0
        self._at_work.clear()

    def end(self) -> None:
        """Watch no more."""
        self._is_over.set()
        self._at_work.set()

    def _run(self) -> None:
        while self._at_work.wait() and not self._is_over.is_set():
            self._pressure.begins(self._read())
            self._look_on(self._bout)
            self._pressure.rests(self._read())

    def _look_on(self, bout: int) -> None:
        """Look every now and then until this bout of work has ended."""
        while not self._is_over.wait(_LOOK_SEC) and self._at_work.is_set() and self._bout == bout:
            self._pressure.looks(self._read())
            if self._step_threads > self._pressure.threads:
                self._abort()


class Clocks:
    """The kernel's clocks of this process."""

    def __init__(self) -> None:
        self._waited = Waited()
        self._idle = Idle()
        self._last = 0.0

    @property
    def tell(self) -> bool:
        """Whether the kernel says who waited."""
        return self._waited.seconds() is not None

    def read(self) -> Reading:
        """What they say now."""
        waited = self._waited.seconds()
        self._last = self._last if waited is None else waited  # None: a thread ended while it was asked for
        return Reading(time.monotonic(), self._last, self._idle.seconds())
