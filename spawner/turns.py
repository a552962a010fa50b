"""How many daughters run at once, and who is next. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

_SLOTS: Final[Mapping[str, int]] = {"low_power": 2, "balanced": 5, "performance": 10}  # CONTRACT, section 7


@dataclass(frozen=True, slots=True)
class Slots:
    """How many may run at once, and why so many."""

    count: int
    because: str


def slots_for(profile: str | None, otherwise: int) -> Slots:
    """What Switch's fluzo says; `otherwise` where it cannot be asked."""
    if profile is not None and profile in _SLOTS:
        return Slots(_SLOTS[profile], f"fluzo {profile}")
    return Slots(otherwise, "fluzo is not known, because Switch sleeps")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that could start now."""

    spawn_id: str
    user: str
    workspace: str | None
    memory_mb: float = 0
    disk_mb: float = 0

    @property
    def place(self) -> tuple[str, str] | None:
        """The folder that it shares with the user's other jobs, if any."""
        return None if self.workspace is None else (self.user, self.workspace)


@dataclass(frozen=True, slots=True)
class Means:
    """What daughters may have together, MiB: memory, room on the disk, and of that what single users may have."""

    memory_mb: float = math.inf
    disk_mb: float = math.inf
    disk_mb_of: Mapping[str, float] = field(default_factory=dict)

    def why_never(self, job: Waiting) -> str | None:
        """Why a job could not start even with nobody beside it: `memory` or `disk`; None: it could."""
        if job.memory_mb > self.memory_mb:
            return "memory"
        return "disk" if job.disk_mb > min(self.disk_mb, self.disk_mb_of.get(job.user, math.inf)) else None

    def hold(self, jobs: Sequence[Waiting], one: Waiting) -> bool:
        """Whether `one` can be beside `jobs`, each taking all that it may."""
        together = [*jobs, one]
        return (
            sum(job.memory_mb for job in together) <= self.memory_mb
            and sum(job.disk_mb for job in together) <= self.disk_mb
            and sum(job.disk_mb for job in together if job.user == one.user) <= self.disk_mb_of.get(one.user, math.inf)
        )


UNBOUND: Final = Means()


def next_up(waiting: Sequence[Waiting], running: Iterable[Waiting], slots: int, means: Means = UNBOUND) -> list[str]:
    """Who starts now, of `waiting` (oldest first): whoever has the fewest running, one a workspace at a time, and only
    who fits beside those that run. Who does not fit yet is passed by smaller ones, and waits no longer than its TTL."""
    working = list(running)
    busy = Counter(job.user for job in working)
    places = {job.place for job in working if job.place}
    left, chosen = list(waiting), []
    free = slots - len(working)
    while free > 0 and (able := [job for job in left if job.place not in places and means.hold(working, job)]):
        chosen_one = min(able, key=lambda job: busy[job.user])
        left.remove(chosen_one)
        chosen.append(chosen_one.spawn_id)
        working.append(chosen_one)
        busy[chosen_one.user] += 1
        if chosen_one.place:
            places.add(chosen_one.place)
        free -= 1
    return chosen
