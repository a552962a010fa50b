"""Maintenance: checks, retention, a backup. Looks only, unless told to apply."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from config import audit
from config.app import House
from config.auth import Caller
from config.contracts.power import Maintenance, MaintenanceReport
from config.db_schema.kernel import AuditLog
from madre.adapters.backup import backed_up
from madre.retention import cutoffs
from madre.store import terms as store

_ROWS_AT_ONCE = 1_000
_BREATH_SEC = 0.02  # between two batches, so that other writers get their turn


class Upkeep:
    """The use case of `POST /madre/power/maintenance`."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def maintain(self, body: Maintenance, caller: Caller, at: datetime | None = None) -> MaintenanceReport:
        """Check the database; with `apply`, also delete rows past their term and make a verified backup.

        Done again `at` the moment of one that was cut short, it goes by the same terms, and its backup takes the
        place of that one's.
        """
        now, db = at or self._house.clock.now(), self._house.db
        found = await asyncio.to_thread(db.integrity)
        chain = await db.reading(audit.verify)
        terms = cutoffs(self._house.settings.retention, now)
        findings: dict[str, Any] = {
            "audit_rows": chain.rows,
            "audit_broken_at": chain.broken_at,
            "rows_past_term": await db.reading(store.rows_before, terms),
        }
        if body.apply:
            findings["rows_deleted"] = await self._retain(terms, caller)
            findings["backup"] = await asyncio.to_thread(backed_up, db, self._house.settings.backups_path, now)
            await db.writing(self._note, caller, now, findings)
        return MaintenanceReport(applied=body.apply, integrity=found, findings=findings)

    async def _retain(self, terms: Mapping[str, datetime], caller: Caller) -> dict[str, int]:
        deleted = dict.fromkeys(terms, 0)
        for table, before in terms.items():
            while count := await self._house.db.writing(self._some_deleted, table, before, caller):
                deleted[table] += count
                await asyncio.sleep(_BREATH_SEC)
        return deleted

    def _some_deleted(self, session: Session, table: str, before: datetime, caller: Caller) -> int:
        """Rows past their term; the audit trail's in a way of its own, because what is left must still verify."""
        if table == AuditLog.__tablename__:
            now = self._house.clock.now()
            return audit.cut_head(session, caller, before, _ROWS_AT_ONCE, now=now, service="madre")
        return store.delete_before(session, table, before, _ROWS_AT_ONCE)

    def _note(self, session: Session, caller: Caller, now: datetime, findings: dict[str, Any]) -> None:
        audit.append(session, caller, "maintenance.apply", "database", findings, now=now, service="madre")
        self._house.journal.append(session, "maintenance.applied", {"deleted": sum(findings["rows_deleted"].values())})
