"""How many daughters run at once, and who is next. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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

    @property
    def place(self) -> tuple[str, str] | None:
        """The folder that it shares with the user's other jobs, if any."""
        return None if self.workspace is None else (self.user, self.workspace)


def next_up(waiting: Sequence[Waiting], running: Iterable[Waiting], slots: int) -> list[str]:
    """Who starts now, of `waiting` (oldest first): whoever has the fewest running, one a workspace at a time."""
    working = list(running)
    busy = Counter(job.user for job in working)
    places = {job.place for job in working if job.place}
    left, chosen = list(waiting), []
    free = slots - len(working)
    while free > 0 and (able := [job for job in left if job.place not in places]):
        chosen_one = min(able, key=lambda job: busy[job.user])
        left.remove(chosen_one)
        chosen.append(chosen_one.spawn_id)
        busy[chosen_one.user] += 1
        if chosen_one.place:
            places.add(chosen_one.place)
        free -= 1
    return chosen
