"""How far a download is, how fast it goes and when it will be done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from config.contracts.models import JobPhase

_SMOOTHING: Final = 0.3  # weight of the newest span in the rate: settles within a few ticks, does not jump


@dataclass(frozen=True, slots=True)
class Reading:
    """A meter at one moment; `rate` in bytes a second, None until something moved."""

    phase: JobPhase
    done: int
    total: int | None
    rate: float | None

    @property
    def percent(self) -> int | None:
        """Whole percents of the phase; None while its size is not known."""
        return None if not self.total else min(100, self.done * 100 // self.total)


class Meter:
    """Fed by whoever moves bytes (any thread), read by the ticker."""

    def __init__(self, now: float) -> None:
        self._phase: JobPhase = "queued"
        self._done = 0
        self._total: int | None = None
        self._rate: float | None = None
        self._ticked_at = now
        self._ticked_done = 0

    def enter(self, phase: JobPhase, now: float, total: int | None = None) -> None:
        """Begin a phase at zero; its rate is its own."""
        self._phase, self._done, self._total, self._rate = phase, 0, total, None
        self._ticked_at, self._ticked_done = now, 0

    def at(self, done: int, total: int | None = None) -> None:
        """`done` bytes of the phase are done; `total`, once known, stays."""
        self._done = done
        self._total = self._total if total is None else total

    def starts_at(self, done: int) -> None:
        """What was there already (a resumed file) counts as done, but not as speed."""
        self._done = self._ticked_done = done

    def tick(self, now: float) -> Reading:
        """Take a reading; the rate is smoothed over the ticks of this phase."""
        span = now - self._ticked_at
        if span > 0:
            newest = max(0, self._done - self._ticked_done) / span
            self._rate = newest if self._rate is None else self._rate + _SMOOTHING * (newest - self._rate)
            self._ticked_at, self._ticked_done = now, self._done
        return Reading(self._phase, self._done, self._total, self._rate)


def eta_sec(done: int, total: int | None, rate: float | None) -> float | None:
    """Seconds until `total` at `rate`; None where one of them is not known or nothing moves."""
    if total is None or not rate or rate < 1:
        return None
    return round(max(0, total - done) / rate, 1)
