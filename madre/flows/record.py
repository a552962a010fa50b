"""What the reconciler leaves behind: rows, audit entries and events, written in few short units of work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from config import audit
from config.app import House
from config.contracts.events import Severity
from madre.drivers import Driver
from madre.lives import Fact, Life
from madre.store import power as store
from madre.windows import Window

_log = logging.getLogger(__name__)
_EVENT_OF: dict[Fact, tuple[str, Severity]] = {
    "ready": ("power.service.started", "info"),
    "ended": ("power.service.stopped", "info"),
    "crashed": ("power.service.crashed", "error"),
    "failed": ("power.service.failed", "critical"),
}
Write = Callable[[Session], None]


class Record:
    """Collects what happened in a tick and writes it down at its end."""

    def __init__(self, house: House, driver: Driver) -> None:
        self._house = house
        self._driver = driver
        self._pending: list[Write] = []
        self._kept: dict[str, Life] = {}

    def act(self, act: str, service: str, reason: str, outcome: str, **detail: Any) -> None:
        """One thing done to a service: a row and an audit entry."""
        now = self._house.clock.now()

        def write(session: Session) -> None:
            store.add_power_event(
                session,
                at=now,
                service=service,
                act=act,
                reason=reason,
                outcome=outcome,
                elapsed_ms=0.0,
                driver=self._driver.name,
                **detail,
            )
            entry = {"reason": reason, "outcome": outcome, "driver": self._driver.name}
            audit.append(session, self._house.caller, f"power.service.{act}", service, entry, now=now, service="madre")

        self._pending.append(write)

    def fact(self, fact: Fact, service: str, before: Life, after: Life) -> None:
        """Something a service did: a row and an event."""
        now = self._house.clock.now()
        elapsed_ms = _elapsed_ms(fact, before, now)
        event, severity = _EVENT_OF[fact]
        data = {
            "service": service,
            "state": after.state,
            "restarts": after.restarts,
            "elapsed_ms": round(elapsed_ms, 3),
        }

        def write(session: Session) -> None:
            store.add_power_event(
                session,
                at=now,
                service=service,
                act=fact,
                reason=f"was {before.state}",
                outcome="ok" if severity == "info" else "failed",
                elapsed_ms=elapsed_ms,
                failures=after.failures,
            )
            self._house.journal.append(session, event, data, severity=severity)

        self._pending.append(write)

    async def windows(self, changes: list[tuple[Window, Window]], moved: list[Window]) -> list[Window]:
        """Keep changed windows, unless somebody changed one meanwhile: theirs stays. The windows as they are now."""
        settled = await self._house.db.writing(self._keep_windows, changes)
        return [settled.get(window.window_id, window) for window in moved]

    async def flush(self, lives: Mapping[str, Life]) -> None:
        """Write down everything collected since the last time."""
        changed = {name: life for name, life in lives.items() if self._kept.get(name) != life}
        if not self._pending and not changed:
            return
        pending, self._pending = self._pending, []
        await self._house.db.writing(self._write, pending, changed)
        self._kept.update(changed)

    def _write(self, session: Session, pending: list[Write], changed: dict[str, Life]) -> None:
        for write in pending:
            write(session)
        now = self._house.clock.now()
        for name, life in changed.items():
            store.keep_life(session, name, life, None, now)

    def _keep_windows(self, session: Session, changes: list[tuple[Window, Window]]) -> dict[str, Window]:
        settled = {}
        for before, after in changes:
            stored = store.window(session, after.window_id)
            if stored != before:
                settled[after.window_id] = stored or after
                continue
            store.keep_window(session, after)
            settled[after.window_id] = after
            if after.state != before.state:
                self._tell(session, after)
        return settled

    def _tell(self, session: Session, window: Window) -> None:
        severity: Severity = "error" if window.state == "error" else "info"
        announce(self._house, session, window, severity=severity)


def announce(house: House, session: Session, window: Window, *, severity: Severity = "info") -> None:
    """Append the event that tells of the state `window` has just come to."""
    data = {
        "window_id": window.window_id,
        "services": list(window.services),
        "mode": window.mode,
        "opened_by": window.opened_by,
        "deadline": window.deadline.isoformat() if window.mode == "ttl" else None,
        "reason": (window.close_reason or window.reason)[:512],
    }
    house.journal.append(session, f"power.window.{window.state}", data, severity=severity)


def _elapsed_ms(fact: Fact, before: Life, now: datetime) -> float:
    """How long it took to become ready, or how long it had run."""
    began = before.since if fact == "ready" else before.run_since
    return 0.0 if began is None else max(0.0, (now - began).total_seconds() * 1000)
