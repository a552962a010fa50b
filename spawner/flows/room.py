"""How much daughters leave on the disk: counted by user, bounded, and let go of oldest first.

Everything is measured once at the first look and each folder again when a try in it is over; in between a try counts
with all that it may take (`turns.Means`). What ended jobs left is nobody's to keep: it makes room for the next try of
the same user. Workspaces are kept; where they leave no room, a try is refused and says what to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from spawner import store
from spawner.adapters.folders import owner_of
from spawner.flows.desk import Desk
from spawner.turns import Means, Waiting


class Room:
    """The ledger of the disk: MiB of each job and each workspace, by whose they are."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._jobs: dict[str, tuple[str, float]] = {}
        self._workspaces: dict[tuple[str, str], float] = {}
        self._is_known = False

    async def means(self, waiting: Iterable[Waiting]) -> Means:
        """What there is for those who wait, once whatever may go has made room for them."""
        await self._ensure_known()
        needs: dict[str, float] = {}
        for job in waiting:
            needs[job.user] = max(needs.get(job.user, 0), job.disk_mb)
        for user, need in needs.items():
            if need > min(self._left(), self._left_of(user)):
                await self._make(user, need)
        left = {user: self._left_of(user) for user in needs}
        return Means(memory_mb=self._desk.together_mb, disk_mb=self._left(), disk_mb_of=left)

    async def measure(self, user: str, spawn_id: str, workspace: str | None) -> None:
        """Count anew what a try has just left."""
        folders = self._desk.folders
        self._jobs[spawn_id] = owner_of(user), await asyncio.to_thread(folders.size_mb, folders.of_job(spawn_id))
        if workspace is not None:
            place = folders.workspace(user, workspace)
            self._workspaces[owner_of(user), workspace] = await asyncio.to_thread(folders.size_mb, place)

    def forget(self, spawn_id: str) -> None:
        """A job's folder is gone."""
        self._jobs.pop(spawn_id, None)

    def forget_workspace(self, user: str, name: str) -> None:
        """A workspace is gone."""
        self._workspaces.pop((owner_of(user), name), None)

    async def _ensure_known(self) -> None:
        if self._is_known:
            return
        folders = self._desk.folders
        for owner, name, size in await asyncio.to_thread(folders.workspaces):
            self._workspaces[owner, name] = size
        names = await asyncio.to_thread(folders.jobs)
        users = await self._desk.house.db.reading(store.users_of, names)
        for name in names:
            size = await asyncio.to_thread(folders.size_mb, folders.of_job(name))
            self._jobs[name] = owner_of(users[name]) if name in users else "", size
        self._is_known = True

    async def _make(self, user: str, need: float) -> None:
        """Let go of what this user's ended jobs left, first of their work and then of what they said too."""
        folders = self._desk.folders
        ended = await self._desk.house.db.reading(store.ended_of, user, list(self._jobs))
        for drop in (folders.drop_work, folders.forget):
            for spawn_id in ended:
                if need <= min(self._left(), self._left_of(user)):
                    return
                await asyncio.to_thread(drop, spawn_id)
                left = await asyncio.to_thread(folders.size_mb, folders.of_job(spawn_id))
                self._jobs[spawn_id] = owner_of(user), left

    def _left(self) -> float:
        settings, taken = self._desk.settings, sum(size for _, size in self._jobs.values())
        of_setting = settings.stored_mb - taken - sum(self._workspaces.values())
        return min(of_setting, self._desk.folders.free_mb() - settings.free_mb)

    def _left_of(self, user: str) -> float:
        own = owner_of(user)
        taken = sum(size for owner, size in self._jobs.values() if owner == own)
        taken += sum(size for (owner, _), size in self._workspaces.items() if owner == own)
        return self._desk.settings.stored_mb_per_user - taken
