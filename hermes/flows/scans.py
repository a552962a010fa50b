"""Looking through the models folder: what is new is registered, what is broken put aside, what is gone marked.

A scan trusts a known file whose size and time of change are as they were; `verify` reads it again all the
same. Files that are neither GGUF by name nor by their first bytes are left alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from sqlalchemy.orm import Session

from config.auth import Caller
from config.contracts.models import ScanFinding, ScanOrder, ScanReport
from config.db_schema.hermes import LocalModelV2
from config.errors import BadModelFile
from hermes import store
from hermes.adapters.shelf import FoundFile, tray_key
from hermes.flows.desk import Desk
from hermes.flows.registry import Registry, proper_name, read_registration
from hermes.rows import Registration, refresh_model

LEFTOVERS_AFTER: Final = timedelta(days=7)
_NAME_TRIES: Final = 1000


@dataclass(slots=True)
class _Findings:
    """A report in the making."""

    known: int = 0
    registered: list[ScanFinding] = field(default_factory=list)
    changed: list[ScanFinding] = field(default_factory=list)
    quarantined: list[ScanFinding] = field(default_factory=list)
    missing: list[ScanFinding] = field(default_factory=list)
    restored: list[ScanFinding] = field(default_factory=list)
    busy: list[ScanFinding] = field(default_factory=list)
    ignored: list[ScanFinding] = field(default_factory=list)


class Scans:
    """Scans of the models folder, one at a time."""

    def __init__(self, desk: Desk, registry: Registry) -> None:
        self._desk = desk
        self._db = desk.house.db
        self._shelf = desk.shelf
        self._registry = registry
        self._one_at_a_time = asyncio.Lock()

    async def scan(self, caller: Caller, order: ScanOrder) -> ScanReport:
        """Look at every file and every row; what was found and done."""
        async with self._one_at_a_time:
            with self._desk.house.work.doing("scan"):
                return await self._scan(caller, order)

    async def _scan(self, caller: Caller, order: ScanOrder) -> ScanReport:
        findings = _Findings()
        files = await asyncio.to_thread(lambda: list(self._shelf.files()))
        rows = _by_path(await self._db.reading(store.all_models))
        for found in files:
            await self._look_at(found, rows.get(found.path, []), order, findings)
        await self._db.writing(self._mark_missing, findings)
        removed = await self._remove_leftovers()
        report = ScanReport(
            known=findings.known,
            registered=findings.registered,
            changed=findings.changed,
            quarantined=findings.quarantined,
            missing=findings.missing,
            restored=findings.restored,
            busy=findings.busy,
            ignored=findings.ignored,
            leftovers_removed=removed,
        )
        await self._db.writing(self._note, caller, order, report)
        return report

    async def _look_at(self, found: FoundFile, rows: list[LocalModelV2], order: ScanOrder, findings: _Findings) -> None:
        if rows and not order.verify and all(_is_as_known(row, found) for row in rows):
            findings.known += 1
            await self._restore(found, rows, findings)
            return
        if not await asyncio.to_thread(self._shelf.claims_to_be_a_model, found):
            findings.ignored.append(ScanFinding(path=found.path, reason="neither named .gguf nor GGUF inside"))
            return
        if await asyncio.to_thread(self._shelf.is_being_written, found.path):
            findings.busy.append(ScanFinding(path=found.path, reason="still being written"))
            return
        try:
            registration = await asyncio.to_thread(read_registration, self._desk, found)
        except BadModelFile as error:
            aside = await self._registry.put_aside(found, error)
            await self._db.writing(self._mark_damaged, [row.name for row in rows], error.detail)
            reason = error.detail
            findings.quarantined.append(ScanFinding(path=found.path, name=aside.extra["quarantined"], reason=reason))
            return
        async with self._desk.moving:
            await self._db.writing(self._record, registration, findings)

    def _record(self, session: Session, registration: Registration, findings: _Findings) -> None:
        """Write one sound file into the registry: its rows if it has some, else a new one."""
        path = registration.path
        rows = [row for row in store.all_models(session) if row.path == path]
        for row in rows:
            self._renew(session, row, registration, findings)
        if rows:
            return
        twin = store.model_with_hash(session, registration.sha256)
        if twin is not None:
            findings.ignored.append(ScanFinding(path=path, name=twin.name, reason=f"the same file as {twin.path}"))
            return
        name = self._free_name(session, registration)
        self._desk.put(session, name, registration)
        findings.registered.append(ScanFinding(path=path, name=name))

    def _renew(self, session: Session, row: LocalModelV2, registration: Registration, findings: _Findings) -> None:
        """Bring a row in line with its file; tells of it only where something is different."""
        was_missing, same = row.compatibility == "missing", row.sha256 == registration.sha256
        if same and not was_missing:
            refresh_model(row, registration, row.updated_at)
            findings.known += 1
            return
        self._desk.put(session, row.name, registration)
        if was_missing:
            findings.restored.append(ScanFinding(path=row.path, name=row.name))
        else:
            findings.changed.append(ScanFinding(path=row.path, name=row.name, reason="the file is another one now"))

    def _free_name(self, session: Session, registration: Registration) -> str:
        """A name no other file has; a row whose file is missing gets it back by name and hash."""
        wanted = proper_name(self._desk, registration)
        for number in range(1, _NAME_TRIES):
            name = wanted if number == 1 else f"{wanted}-{number}"
            row = store.model_named(session, name)
            if row is None or (row.compatibility == "missing" and row.sha256 == registration.sha256):
                return name
        raise BadModelFile(f"There are {_NAME_TRIES} models called {wanted!r} already.")

    async def _restore(self, found: FoundFile, rows: list[LocalModelV2], findings: _Findings) -> None:
        """A file that is as it was, but whose row was marked missing meanwhile, is read again and comes back."""
        if any(row.compatibility == "missing" for row in rows):
            registration = await asyncio.to_thread(read_registration, self._desk, found)
            findings.known -= 1
            await self._db.writing(self._record, registration, findings)

    def _mark_missing(self, session: Session, findings: _Findings) -> None:
        for row in store.all_models(session):
            if self._shelf.stat(row.path) is not None:
                continue
            findings.missing.append(ScanFinding(path=row.path, name=row.name))
            if row.compatibility != "missing":
                row.compatibility, row.updated_at = "missing", self._desk.now
                self._desk.tell(session, "model.missing", row, severity="warning")

    def _mark_damaged(self, session: Session, names: list[str], reason: str) -> None:
        """A registered file is no model any more (truncated, overwritten) and was put aside: who has it loaded must
        know."""
        for row in (store.model_named(session, name) for name in names):
            if row is not None and row.compatibility != "missing":
                row.compatibility, row.updated_at = "missing", self._desk.now
                changes = {"file": "damaged", "compatibility": "missing"}
                self._desk.tell(session, "model.changed", row, severity="error", changes=changes, reason=reason[:512])

    async def _remove_leftovers(self) -> int:
        """Discard trays that no live job uses and nothing has touched for days."""
        live = {tray_key(job.source) for job in await self._db.reading(store.live_jobs)}
        oldest = (self._desk.now - LEFTOVERS_AFTER).timestamp()
        return await asyncio.to_thread(self._shelf.discard_trays, live, oldest)

    def _note(self, session: Session, caller: Caller, order: ScanOrder, report: ScanReport) -> None:
        counts = {
            "verify": order.verify,
            "registered": len(report.registered),
            "quarantined": len(report.quarantined),
            "missing": len(report.missing),
        }
        self._desk.note(session, caller, "model.scan", "models", counts)


def _is_as_known(row: LocalModelV2, found: FoundFile) -> bool:
    return row.size_bytes == found.size and row.meta_info.get("modified_ns") == found.modified_ns


def _by_path(rows: Iterable[LocalModelV2]) -> dict[str, list[LocalModelV2]]:
    found: dict[str, list[LocalModelV2]] = {}
    for row in rows:
        found.setdefault(row.path, []).append(row)
    return found
