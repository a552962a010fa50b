"""Rate limit per token: GCRA, the generic cell rate algorithm (ITU-T I.371; the "leaky bucket as a meter").

One number a key: the time at which the key would be back to idle. Pure; told the time. And places: what a key may hold
at once, for connections, which last.
"""

from __future__ import annotations

from collections import Counter

_SWEEP_AT_KEYS = 4096


class RateLimit:
    """`rate_per_sec` sustained, with `burst` requests at once on top of an idle key."""

    def __init__(self, rate_per_sec: float, burst: int) -> None:
        self._interval = 1.0 / rate_per_sec
        self._tolerance = self._interval * (burst - 1)
        self._idle_at: dict[str, float] = {}

    def wait_for(self, key: str, now: float) -> float:
        """0 and the request is counted, or the seconds until one would be admitted."""
        idle_at = max(self._idle_at.get(key, now), now)
        wait = idle_at - self._tolerance - now
        if wait > 0:
            return wait
        if len(self._idle_at) >= _SWEEP_AT_KEYS:
            self._sweep(now)
        self._idle_at[key] = idle_at + self._interval
        return 0.0

    def _sweep(self, now: float) -> None:
        """Forget keys that are idle: they are as good as new ones."""
        self._idle_at = {key: idle_at for key, idle_at in self._idle_at.items() if idle_at > now}


class Places:
    """`at_most` places for each key."""

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._taken: Counter[str] = Counter()

    def take(self, key: str) -> bool:
        """Whether there was a place left; it is taken then, until it is given back."""
        if self._taken[key] >= self._at_most:
            return False
        self._taken[key] += 1
        return True

    def give_back(self, key: str) -> None:
        """Leave a place to others."""
        self._taken[key] -= 1
        if self._taken[key] <= 0:
            del self._taken[key]
