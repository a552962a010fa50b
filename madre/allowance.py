"""What one user may ask of madre: so many things at once, so many a minute. Pure; told the time.

The door limits tokens; one user may hold many of those, and a sentence may cost a model's minute.
"""

from __future__ import annotations

from collections import deque

_SPAN_SEC = 60.0
_BUSY_PAUSE_SEC = 1.0
_SWEEP_AT_USERS = 1024


class Allowance:
    """Counts by user; `parallel` at work at once, `per_min` begun within any minute."""

    def __init__(self, parallel: int, per_min: int) -> None:
        self._parallel = parallel
        self._per_min = per_min
        self._at_work: dict[str, int] = {}
        self._begun: dict[str, deque[float]] = {}

    def enter(self, user: str, now: float) -> float:
        """0 and one more is at work (`leave` ends it), or the seconds after which to ask again."""
        begun = self._begun.setdefault(user, deque())
        while begun and now - begun[0] >= _SPAN_SEC:
            begun.popleft()
        if self._at_work.get(user, 0) >= self._parallel:
            return _BUSY_PAUSE_SEC
        if len(begun) >= self._per_min:
            return begun[0] + _SPAN_SEC - now
        begun.append(now)
        self._at_work[user] = self._at_work.get(user, 0) + 1
        if len(self._begun) > _SWEEP_AT_USERS:
            self._sweep(now)
        return 0.0

    def leave(self, user: str) -> None:
        """What `enter` let in has ended."""
        left = self._at_work.get(user, 0) - 1
        if left > 0:
            self._at_work[user] = left
        else:
            self._at_work.pop(user, None)

    def _sweep(self, now: float) -> None:
        self._begun = {user: begun for user, begun in self._begun.items() if begun and now - begun[-1] < _SPAN_SEC}
