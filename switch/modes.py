"""Engine modes: how tense the machine is, from its load, and how long an answer may take then. Pure.

Load is `0.6·cpu + 0.4·memory`, all from 0 to 1 (CONTRACT, section 6). A mode is left only once the load is clearly
past its border, so that a load which trembles around one does not change the mode with every look.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MARGIN = 0.03  # how far past a border the load must be to change the mode
_CPU_WEIGHT, _MEMORY_WEIGHT = 0.6, 0.4


class Mode(StrEnum):
    """The four modes, from rest to distress."""

    ECO = "ECO"
    BALANCED = "BALANCED"
    HIGH_PERF = "HIGH_PERF"
    CRITICAL = "CRITICAL"


BUDGET_SEC = {Mode.ECO: 5.0, Mode.BALANCED: 8.0, Mode.HIGH_PERF: 15.0, Mode.CRITICAL: 30.0}
BORDERS = {Mode.ECO: 0.30, Mode.BALANCED: 0.60, Mode.HIGH_PERF: 0.85, Mode.CRITICAL: float("inf")}


def load_of(cpu: float, memory: float) -> float:
    """The load, 0 to 1, of shares from 0 to 1."""
    return min(1.0, max(0.0, _CPU_WEIGHT * cpu + _MEMORY_WEIGHT * memory))


def mode_of(load: float) -> Mode:
    """The mode of a load by the contract's borders alone."""
    return next(mode for mode, border in BORDERS.items() if load < border)


@dataclass(slots=True)
class Steering:
    """The mode in force: measured with hysteresis, or set by hand until it is given back."""

    measured: Mode | None = None
    by_hand: Mode | None = None

    @property
    def mode(self) -> Mode:
        """The mode in force; BALANCED until something was measured."""
        return self.by_hand or self.measured or Mode.BALANCED

    def looked(self, load: float) -> None:
        """A new measurement of the load."""
        if self.measured is None:
            self.measured = mode_of(load)
            return
        low, high = mode_of(load - MARGIN), mode_of(load + MARGIN)
        order = list(Mode)
        if order.index(low) > order.index(self.measured):
            self.measured = low
        elif order.index(high) < order.index(self.measured):
            self.measured = high
