"""What all flows of spawner share: the house, the cage, the folders, and how changes are told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from config import audit, memory
from config.app import House
from config.auth import Caller, Role, Scope
from config.contracts.events import Severity
from config.db_schema.spawner import DaughterTask
from config.errors import NotFound, Unavailable
from config.settings import SpawnerSettings
from spawner import store, trust
from spawner.adapters.folders import Folders
from spawner.cage import Cage

_OWN_MB = 256  # of spawner and its nursery, in the container that daughters run in too
_SEVERITY: dict[str, Severity] = {"ERROR": "error", "EXPIRED": "warning", "KILLED": "warning"}


@dataclass(slots=True)
class Desk:
    """Shared by the flows. `held` is the cage, once it was found out at start which one this machine has."""

    house: House
    folders: Folders
    held: Cage | None = None

    @property
    def cage(self) -> Cage:
        """What runs daughters; Unavailable before the start is over."""
        if self.held is None:
            raise Unavailable("Spawner is still finding out how to keep daughters apart.", retry_after_sec=1)
        return self.held

    @property
    def now(self) -> datetime:
        """The moment, for rows."""
        return self.house.clock.now()

    @property
    def settings(self) -> SpawnerSettings:
        """The limits of this service."""
        return self.house.settings.spawner

    @property
    def together_mb(self) -> int:
        """Memory of all daughters together, MiB: as set, else what a container leaves beside this service and the
        nursery, else half of the machine. One daughter as they are by default has room in any case."""
        if self.settings.together_mb is not None:
            return self.settings.together_mb
        machine, ours = memory.machine_mb(), memory.available_mb()
        left = ours - _OWN_MB if ours < machine else machine // 2
        return max(left, self.settings.memory_mb)

    def why_not(self, role: Role) -> str | None:
        """Why nobody with this role may have a process run in this machine's cage; None: they may."""
        return trust.why_not(role, self.cage.level, weak_isolation=self.settings.weak_isolation)

    def visible(self, session: Session, caller: Caller, spawn_id: str) -> DaughterTask:
        """A job that `caller` may know of; NotFound for another user's as for none."""
        row = store.job(session, spawn_id)
        if row is None or only_of(caller) not in (None, row.user):
            raise NotFound(f"There is no job {spawn_id!r}.", hint="GET /spawner/jobs lists them.")
        return row

    def tell(self, session: Session, row: DaughterTask, type: str | None = None, **more: Any) -> None:
        """Journal how a job stands; without a type, its status is the type."""
        data = {
            "job_id": row.spawn_id,
            "kind": "daughter",
            "name": brief(row.name, 400),
            "user": brief(row.user, 400),
            "state": row.status,
            "phase": row.phase,
            "tries": row.tries,
            "parent_task_id": row.parent_task_id,
            "isolation": row.isolation,
            "error": None if row.error is None else brief(row.error, 800),
            **more,
        }
        severity = _SEVERITY.get(row.status, "info")
        told = type or f"job.{row.status.lower()}"
        self.house.journal.append(session, told, data, severity=severity, correlation_id=row.correlation_id)

    async def looked_at(self, caller: Caller, spawn_id: str) -> None:
        """Leave a trace where `caller` is about to be shown another's job; NotFound where they may not know of it."""
        row = await self.house.db.reading(self.visible, caller, spawn_id)
        if row.user != caller.user:
            await self.house.db.writing(self.note, caller, "job.read", row, {})

    def note_page(self, session: Session, caller: Caller, whose: str, page: Sequence[DaughterTask]) -> None:
        """Record that others' jobs were listed, and which."""
        seen = [row.spawn_id for row in page if row.user != caller.user]
        detail = {"owner": whose, "override": True, "jobs": seen}
        audit.append(session, caller, "job.list", whose, detail, now=self.now, service=self.house.service.name)

    def note(self, session: Session, caller: Caller, action: str, row: DaughterTask, detail: dict[str, Any]) -> None:
        """Add an act to the audit chain; it says whose job it was, which matters where it is not the caller's."""
        whose = {"owner": row.user, "override": caller.user != row.user, **detail}
        audit.append(session, caller, action, row.spawn_id, whose, now=self.now, service=self.house.service.name)


def only_of(caller: Caller) -> str | None:
    """Whose jobs a caller sees: a user their own, from the operator upwards all."""
    return None if caller.may(Scope.JOBS_ALL) else caller.user


def brief(text: str, most: int) -> str:
    """The beginning of `text`, as much of it as takes `most` bytes of JSON: events have an end."""
    while len(json.dumps(text)) > most:
        text = text[: len(text) * 3 // 4]
    return text
