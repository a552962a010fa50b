"""The only reader of the wall clock, so that tests can hold the time in their hand."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Gives the time; `now` for what people read and rows keep, `monotonic` for measuring spans."""

    def now(self) -> datetime:
        """The current time, timezone-aware, UTC."""

    def monotonic(self) -> float:
        """Seconds since some fixed point; never goes back, says nothing about the date."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The current time, timezone-aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since an arbitrary fixed point."""
        return time.monotonic()


def rfc3339(moment: datetime) -> str:
    """`moment` as the contract writes times: UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
