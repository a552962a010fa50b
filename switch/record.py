"""How an engine has done lately: how often it answered, how fast, when it last failed. Pure.

Successes fade with a half-life, so an engine is judged by its last minutes and not by its first day. The breaker is the
house's one (`config/breaker.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from config.breaker import OPEN_SEC, Breaker

HALF_LIFE_SEC = 600.0
RECENT_SEC = 30.0  # a failure this young has others tried first (as OpenRouter does)
_PRIOR_SUCCESSES, _PRIOR = 1.8, 2.0  # what an unknown engine is credited with: 0.9
_NEWEST = 0.3  # weight of the newest latency


@dataclass(slots=True)
class Record:
    """One engine's record; times are monotonic seconds, latencies seconds to the end of an answer."""

    breaker: Breaker = field(default_factory=Breaker)
    latency_sec: float | None = None
    failed_at: float | None = None
    rests_until: float = 0.0
    rests_why: str = ""
    requests: int = 0
    failures: int = 0
    _good: float = 0.0
    _all: float = 0.0
    _faded_at: float = 0.0

    def succeeded(self, now: float, latency_sec: float | None) -> None:
        """It answered."""
        self.breaker.succeeded()
        self._count(now, good=1.0)
        self.failed_at = None
        if latency_sec is not None:
            before = self.latency_sec if self.latency_sec is not None else latency_sec
            self.latency_sec = before + _NEWEST * (latency_sec - before)

    def failed(self, now: float, *, breaks: bool = True) -> None:
        """It did not answer, or not usably. `breaks`: the breaker counts it (a local model cools down instead)."""
        if breaks:
            self.breaker.failed(now)
        self._count(now, good=0.0)
        self.failures += 1
        self.failed_at = now

    def rests(self, until: float, why: str) -> None:
        """It asked to be left alone (429, no money, a wrong key)."""
        self.rests_until, self.rests_why = until, why

    def success(self, now: float) -> float:
        """The share of its requests that it answered, 0 to 1, its last minutes counting most."""
        faded = self._fade(now)
        return (self._good * faded + _PRIOR_SUCCESSES) / (self._all * faded + _PRIOR)

    def failed_lately(self, now: float) -> bool:
        """Whether its last request, less than 30 s ago, failed."""
        return self.failed_at is not None and now - self.failed_at < RECENT_SEC

    def closed(self, now: float) -> tuple[str, float] | None:
        """Why it may not be asked now, and for how many seconds; None if it may."""
        if now < self.rests_until:
            return self.rests_why, self.rests_until - now
        if self.breaker.opened_at is not None and now - self.breaker.opened_at < OPEN_SEC:
            return f"it failed {self.breaker.failures} times in a row", self.breaker.retry_after_sec(now)
        return None

    def _count(self, now: float, good: float) -> None:
        faded = self._fade(now)
        self._good, self._all = self._good * faded + good, self._all * faded + 1.0
        self._faded_at = now
        self.requests += 1

    def _fade(self, now: float) -> float:
        return float(0.5 ** (max(0.0, now - self._faded_at) / HALF_LIFE_SEC))
