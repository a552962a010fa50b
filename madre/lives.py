"""The life of one service as the reconciler follows it: what it is now, how it got there, when it may be tried again.

     asleep ──start──▶ starting ──ready──▶ ready ◀──▶ unready
       ▲                  │                  │            │
       │                  ├── exits unasked ─┴────────────┴──▶ asleep again, or failed after too many in a row
       └──── stopping ◀───┴── is told to stop, from any of the three

Pure: observations and answers in, a new life out, each with the facts worth a row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from config.backoff import backoff_sec
from config.contracts.power import ServiceState
from madre.drivers import Observed

FAILURES_MAX = 4
FIRST_PAUSE_SEC = 0.2
LONGEST_PAUSE_SEC = 30.0
LONG_LIFE_SEC = 30.0
UP: frozenset[ServiceState] = frozenset({"starting", "ready", "unready"})

Fact = Literal["ready", "ended", "crashed", "failed"]


@dataclass(frozen=True, slots=True)
class Life:
    """One service. `since` is when `state` began, `run_since` when the process did; `failures` are in a row."""

    state: ServiceState
    since: datetime
    instance: str | None = None
    run_since: datetime | None = None
    restarts: int = 0
    failures: int = 0
    try_at: datetime | None = None

    @property
    def is_up(self) -> bool:
        """Whether a process is there that was not told to end."""
        return self.state in UP

    @property
    def is_hopeless(self) -> bool:
        """Whether it is down and failed too often in a row for its windows to go on waiting."""
        return self.failures >= FAILURES_MAX and not self.is_up

    def may_start(self, now: datetime) -> bool:
        """Whether it does not run and its pause after a failure is over."""
        return self.state in ("asleep", "failed") and (self.try_at is None or now >= self.try_at)


def asleep(now: datetime, *, restarts: int = 0) -> Life:
    """A service nobody has seen running."""
    return Life("asleep", now, restarts=restarts)


def observed(life: Life, seen: Observed | None, now: datetime) -> tuple[Life, Fact | None]:
    """The life after the driver looked, and what happened to it, if anything."""
    if seen is None:
        return _gone(life, now)
    if seen.instance != life.instance:
        return _appeared(life, seen, now)
    if seen.stopping and life.state != "stopping":
        return replace(life, state="stopping", since=now), None
    return life, None


def _gone(life: Life, now: datetime) -> tuple[Life, Fact | None]:
    if life.state == "stopping":
        ended = replace(life, since=now, instance=None, run_since=None)
        if life.is_hopeless:
            return replace(ended, state="failed"), "failed"
        return replace(ended, state="asleep", failures=0, try_at=None), "ended"
    return after_failure(life, now) if life.is_up else (life, None)


def _appeared(life: Life, seen: Observed, now: datetime) -> tuple[Life, Fact | None]:
    """A process that was not there at the last look: the one ordered, one started by hand, or one after a crash."""
    is_the_ordered_one = life.state == "starting" and life.instance is None
    crashed = life.is_up and life.instance is not None
    reborn = replace(
        life,
        state="stopping" if seen.stopping else "starting",
        since=life.since if is_the_ordered_one else now,
        instance=seen.instance,
        run_since=seen.started_at,
        restarts=life.restarts + (crashed or (life.failures > 0 and not seen.stopping)),
    )
    return reborn, "crashed" if crashed else None


def ordered(life: Life, now: datetime) -> Life:
    """The life once the driver was told to start it, and took the order."""
    return replace(life, state="starting", since=now)


def told_to_stop(life: Life, now: datetime) -> Life:
    """The life once the driver was told to stop it."""
    return replace(life, state="stopping", since=now)


def answered(life: Life, ready: bool, now: datetime) -> tuple[Life, Fact | None]:
    """The life after it was asked, or told of itself, whether it is ready."""
    if ready and life.state in ("starting", "unready"):
        return replace(life, state="ready", since=now), "ready" if life.state == "starting" else None
    if not ready and life.state == "ready":
        return replace(life, state="unready", since=now), None
    return life, None


def after_failure(life: Life, now: datetime) -> tuple[Life, Fact]:
    """The life after its process ended unasked, or could not be started at all."""
    lived_long = life.run_since is not None and (now - life.run_since).total_seconds() >= LONG_LIFE_SEC
    failures = 1 if lived_long else life.failures + 1
    pause = backoff_sec(failures, first_sec=FIRST_PAUSE_SEC, cap_sec=LONGEST_PAUSE_SEC)
    hopeless = failures >= FAILURES_MAX
    after = replace(
        life,
        state="failed" if hopeless else "asleep",
        since=now,
        instance=None,
        run_since=None,
        failures=failures,
        try_at=now + timedelta(seconds=pause),
    )
    return after, "failed" if hopeless else "crashed"


def overdue(life: Life, now: datetime, timeout_sec: float) -> bool:
    """Whether it has been starting for longer than one try may take."""
    return life.state == "starting" and (now - life.since).total_seconds() >= timeout_sec


def given_up(life: Life, now: datetime) -> Life:
    """The life of a service that is being stopped because it did not become ready: as after too many failures."""
    try_at = now + timedelta(seconds=LONGEST_PAUSE_SEC)
    return replace(life, state="stopping", since=now, failures=FAILURES_MAX, try_at=try_at)


def shifted(life: Life, by: timedelta) -> Life:
    """The life after somebody set the clock by so much: what it has gone through took as long as it did."""
    return replace(
        life,
        since=life.since + by,
        run_since=life.run_since and life.run_since + by,
        try_at=life.try_at and life.try_at + by,
    )


def forgiven(life: Life) -> Life:
    """The life with its failures forgotten: somebody asks for it afresh."""
    if life.state == "failed":
        return replace(life, state="asleep", failures=0, try_at=None)
    return replace(life, failures=0, try_at=None)
