"""The time by which an answer is worth something; it travels with a call from hop to hop.

On the wire it is the milliseconds left (`X-VX11-Deadline-Ms`), because clocks of two hosts differ. Inside
a process it is a point of the monotonic clock in a context variable.
"""

from __future__ import annotations

import re
import time
from contextvars import ContextVar

HEADER = "x-vx11-deadline-ms"
_MILLISECONDS = re.compile(rb"[0-9]{1,9}")
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


class arrived:  # noqa: N801  # reads as a verb; a class, because a generator costs more on the hot path
    """Keep to the deadline a request came with while it is served; a missing or senseless header means none."""

    __slots__ = ("_before", "_deadline")

    def __init__(self, header: bytes | None) -> None:
        milliseconds = _MILLISECONDS.fullmatch(header) if header else None
        self._deadline = time.monotonic() + int(milliseconds[0]) / 1000 if milliseconds else None

    def __enter__(self) -> None:
        self._before = _deadline.set(self._deadline)

    def __exit__(self, *_: object) -> None:
        _deadline.reset(self._before)


def seconds_left() -> float | None:
    """Seconds until the deadline of the request being served, at least 0; None without one."""
    deadline = _deadline.get()
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def within(timeout_sec: float) -> float:
    """The smaller of `timeout_sec` and what is left."""
    left = seconds_left()
    return timeout_sec if left is None else min(timeout_sec, left)
