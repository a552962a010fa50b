"""A clock that moves only when a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class ManualClock:
    """Starts at a fixed moment; `advance` moves both readings."""

    def __init__(self) -> None:
        self._now = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
        self._monotonic = 1_000.0

    def now(self) -> datetime:
        """The moment the test has set."""
        return self._now

    def monotonic(self) -> float:
        """Seconds, in step with `now`."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let this much time pass at once."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds

    def set_by(self, seconds: float) -> None:
        """Set the wall clock forward, or back, as somebody might in no time at all."""
        self._now += timedelta(seconds=seconds)
