"""Fluzo: the signals of the machine, and the profile they add up to. Pure.

Thresholds are the contract's (section 6): cpu 30 and 70 %, memory 40 and 75 %, battery 20 %.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

_CPU_CALM, _CPU_BUSY = 0.30, 0.70
_MEMORY_CALM, _MEMORY_FULL = 0.40, 0.75
_BATTERY_LOW = 0.20
_KEEP_EVERY = timedelta(minutes=1)


class Profile(StrEnum):
    """How much the machine can give."""

    LOW_POWER = "low_power"
    BALANCED = "balanced"
    PERFORMANCE = "performance"


@dataclass(frozen=True, slots=True)
class Signals:
    """What was measured: shares from 0 to 1; None where the machine has no such thing.

    `battery` is its charge while it is being used up; a battery on mains counts as none. `pressure_cpu` and
    `pressure_memory` are the kernel's PSI, percent of the last ten seconds in which somebody waited.
    """

    cpu: float
    memory: float
    battery: float | None = None
    pressure_cpu: float | None = None
    pressure_memory: float | None = None


def profile_of(signals: Signals) -> Profile:
    """low_power where any signal is over its upper threshold, performance where all are below their lower one."""
    is_low = signals.battery is not None and signals.battery < _BATTERY_LOW
    if signals.cpu > _CPU_BUSY or signals.memory > _MEMORY_FULL or is_low:
        return Profile.LOW_POWER
    if signals.cpu < _CPU_CALM and signals.memory < _MEMORY_CALM:
        return Profile.PERFORMANCE
    return Profile.BALANCED


@dataclass(slots=True)
class Thinning:
    """Which measurements become rows: one a minute, and each that changes the profile."""

    kept_at: datetime | None = None
    kept_profile: Profile | None = None

    def keeps(self, profile: Profile, now: datetime) -> bool:
        """Whether this measurement becomes a row; notes it if so."""
        if self.kept_at is not None and profile == self.kept_profile and now - self.kept_at < _KEEP_EVERY:
            return False
        self.kept_at, self.kept_profile = now, profile
        return True
