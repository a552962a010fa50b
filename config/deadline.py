"""The time by which an answer is worth something; it travels with a call from hop to hop.

On the wire it is the milliseconds left (`X-VX11-Deadline-Ms`), because clocks of two hosts differ. Inside
a process it is a point of the monotonic clock in a context variable.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

HEADER = "x-vx11-deadline-ms"
_MILLISECONDS = re.compile(r"[0-9]{1,9}")
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def arrived(header: str | None) -> Iterator[None]:
    """Keep to the deadline a request came with while it is served; a missing or senseless header means none."""
    milliseconds = _MILLISECONDS.fullmatch(header or "")
    before = _deadline.set(time.monotonic() + int(milliseconds[0]) / 1000 if milliseconds else None)
    try:
        yield
    finally:
        _deadline.reset(before)


def seconds_left() -> float | None:
    """Seconds until the deadline of the request being served, at least 0; None without one."""
    deadline = _deadline.get()
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def within(timeout_sec: float) -> float:
    """The smaller of `timeout_sec` and what is left."""
    left = seconds_left()
    return timeout_sec if left is None else min(timeout_sec, left)
