"""When a core service that ended is started again: at once after a long life, ever later while it keeps dying."""

from __future__ import annotations

from dataclasses import dataclass

from config.backoff import backoff_sec

FIRST_PAUSE_SEC = 0.1
LONGEST_PAUSE_SEC = 30.0
LONG_LIFE_SEC = 30.0


@dataclass(frozen=True, slots=True)
class Kept:
    """What is remembered of a core service that is not running: deaths in a row, and when it may start."""

    failures: int = 0
    start_at: float = 0.0


def after_exit(kept: Kept, *, lived_sec: float, now: float) -> Kept:
    """The memory after an exit at `now` (monotonic seconds) of a process that lived `lived_sec`."""
    failures = 1 if lived_sec >= LONG_LIFE_SEC else kept.failures + 1
    return Kept(failures, now + backoff_sec(failures, first_sec=FIRST_PAUSE_SEC, cap_sec=LONGEST_PAUSE_SEC))
