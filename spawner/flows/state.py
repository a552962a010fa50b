"""How spawner is: its slots, its cage; and what it lets go of when it is old."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from config.contracts.spawning import Guard, SpawnerStatus
from spawner import store
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

    async def tidy(self) -> None:
        """Remove folders and output of jobs that ended long ago; their rows stay."""
        folders = await asyncio.to_thread(self._desk.folders.jobs)
        moment = self._desk.now - timedelta(days=self._desk.settings.keep_days)
        for begin in range(0, len(folders), _ASKED_AT_ONCE):
            some = folders[begin : begin + _ASKED_AT_ONCE]
            for spawn_id in await self._desk.house.db.reading(store.ended_before, moment, some):
                await asyncio.to_thread(self._desk.folders.forget, spawn_id)
                self._room.forget(spawn_id)
