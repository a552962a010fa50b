"""How spawner is: its slots, its cage; and what it lets go of when it is old."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy.orm import Session

from config import audit
from config.auth import Caller
from config.contracts.spawning import Guard, SpawnerStatus, UnusedWorkspace, WorkspacesTidied
from spawner import store
from spawner.adapters.folders import Unused
from spawner.flows.desk import Desk
from spawner.flows.room import Room
from spawner.flows.slots import SlotWatch
from spawner.flows.supervisor import Supervisor

_ASKED_AT_ONCE: Final = 500


class State:
    """Looks, and tidies."""

    def __init__(self, desk: Desk, supervisor: Supervisor, slots: SlotWatch, room: Room) -> None:
        self._desk = desk
        self._supervisor = supervisor
        self._slots = slots
        self._room = room

    async def status(self) -> SpawnerStatus:
        """How busy spawner is, and what daughters are held to here."""
        level, slots = self._desk.cage.level, await self._slots.now()
        return SpawnerStatus(
            isolation=level.rung.value,
            isolation_level=level.number,
            guards=[Guard(promise=one.promise.value, by=one.by, kept=one.kept) for one in level.guards],
            findings=list(level.findings),
            running=self._supervisor.live_count,
            waiting=await self._desk.house.db.reading(store.waiting_count),
            slots=slots.count,
            slots_because=slots.because,
        )

    async def tidy_workspaces(self, caller: Caller, *, apply: bool) -> WorkspacesTidied:
        """The workspaces that are past their term; with `apply` they are removed, each with a note in the audit.

        None of them is in use: a job lives no longer than a day, and the term is two at least.
        """
        folders, days = self._desk.folders, self._desk.settings.workspace_days
        moment = (self._desk.now - timedelta(days=days)).timestamp()
        found = await asyncio.to_thread(folders.unused_since, moment)
        if apply and found:
            await self._desk.house.db.writing(self._note, caller, found)
        for one in found if apply else ():
            await asyncio.to_thread(folders.drop_workspace, one.user, one.name)
            self._room.forget_workspace(one.user, one.name)
        return WorkspacesTidied(applied=apply, days=days, workspaces=[_unused(one) for one in found])

    def _note(self, session: Session, caller: Caller, found: list[Unused]) -> None:
        now, service = self._desk.now, self._desk.house.service.name
        for one in found:
            detail = {"owner": one.user, "override": caller.user != one.user, "size_mb": round(one.size_mb, 1)}
            audit.append(session, caller, "workspace.remove", one.name, detail, now=now, service=service)

    async def tidy(self) -> None:
        """Remove folders and output of jobs that ended long ago; their rows stay."""
        folders = await asyncio.to_thread(self._desk.folders.jobs)
        moment = self._desk.now - timedelta(days=self._desk.settings.keep_days)
        for begin in range(0, len(folders), _ASKED_AT_ONCE):
            some = folders[begin : begin + _ASKED_AT_ONCE]
            for spawn_id in await self._desk.house.db.reading(store.ended_before, moment, some):
                await asyncio.to_thread(self._desk.folders.forget, spawn_id)
                self._room.forget(spawn_id)


def _unused(one: Unused) -> UnusedWorkspace:
    used_at = datetime.fromtimestamp(one.used_at, UTC)
    return UnusedWorkspace(user=one.user, name=one.name, size_mb=round(one.size_mb, 1), used_at=used_at)
