"""What becomes of a job, its daughter and its attempt when a try ends. Pure; told the time.

attempt    running → success | error | timeout | cancelled
daughter   spawned → running → finished | failed | killed | expired
                        ↓ ↑ restarting (the same again, with more)      → mutated (a successor goes on)
job        PENDING → RUNNING → DONE | ERROR | KILLED | EXPIRED, and back to PENDING while it waits for a retry
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from config.contracts.spawning import AttemptStatus, DaughterStatus, JobStatus

PHASE_QUEUED: Final = "queued"
PHASE_RUNNING: Final = "running"
PHASE_BACKOFF: Final = "backoff"
PHASE_BY_HAND: Final = "by_hand"
PHASE_SUBTASKS: Final = "subtasks"
PHASE_ENDED: Final = "ended"
_TIMES: Final = ("timeout", "cpu")


class Wish(StrEnum):
    """Why a running attempt was ended from outside."""

    KILL = "kill"
    EXPIRE = "expire"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Fate:
    """What the rows shall say. `retries`: another try follows by itself; else the job has ended with `job`."""

    attempt: AttemptStatus
    daughter: DaughterStatus
    job: JobStatus
    retries: bool = False
    by_hand: bool = False


_WISHED: Final = {
    Wish.KILL: Fate("cancelled", "killed", "KILLED"),
    Wish.EXPIRE: Fate("timeout", "expired", "EXPIRED"),
    Wish.DONE: Fate("success", "finished", "DONE"),
    Wish.FAILED: Fate("error", "failed", "ERROR"),
}


def wished(wish: Wish) -> Fate:
    """What follows where somebody ended it."""
    return _WISHED[wish]


def fate(
    kind: str,
    exit_code: int | None,
    *,
    wish: Wish | None,
    is_over: bool,
    tries: int,
    max_retries: int,
    auto_retry: bool,
) -> Fate:
    """What follows the verdict `kind`; `is_over`: the job's TTL has run out; `tries` counts the one that just ended."""
    succeeded = kind == "exited" and exit_code == 0
    if wish is not None and not (succeeded and wish in (Wish.KILL, Wish.EXPIRE)):
        return _WISHED[wish]
    if succeeded:
        return _WISHED[Wish.DONE]
    if is_over:
        return _WISHED[Wish.EXPIRE]
    attempt: AttemptStatus = "timeout" if kind in _TIMES else "cancelled" if kind == "killed" else "error"
    if tries > max_retries:
        return Fate(attempt, "failed", "ERROR")
    if not auto_retry:
        return Fate(attempt, "failed", "ERROR", by_hand=True)
    return Fate(attempt, "restarting", "PENDING", retries=True)


def daughter_at_end(job: JobStatus) -> DaughterStatus:
    """How the daughter of a job that ended so has ended."""
    return next(ending.daughter for ending in _WISHED.values() if ending.job == job)


def whole_of(parts: list[str]) -> JobStatus | None:
    """How a job whose own work is done ends, by the statuses of its parts; None while one of them lives."""
    if any(status in ("PENDING", "RUNNING") for status in parts):
        return None
    return "DONE" if all(status == "DONE" for status in parts) else "ERROR"


def is_stale(heartbeat_at: datetime, now: datetime, stale_sec: float) -> bool:
    """Whether an attempt has given no sign of life for too long."""
    return (now - heartbeat_at).total_seconds() > stale_sec
