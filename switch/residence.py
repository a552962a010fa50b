"""A model as the lifecycle sees it, and which models make room for another. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Stage(StrEnum):
    """Where a model is in its life."""

    ASLEEP = "asleep"
    LOADING = "loading"
    READY = "ready"
    STOPPING = "stopping"
    COOLING = "cooling"


@dataclass(slots=True)
class Model:
    """One model; sizes in MiB, times monotonic seconds.

    `need_mb` is what its worker starts with: `estimate_mb`, or what one was once measured at (`learnt_mb`).
    `measured_mb`, of the running worker, corrects the ledger; `base_mb` is what it reserved when it was ready.
    `drains` says why its worker is to end as soon as nobody uses it; until then it takes no newcomers. One that is
    `unwanted` was to be unloaded while it loaded for nobody, and is when it has loaded, unless somebody comes before.
    """

    name: str
    need_mb: int
    estimate_mb: int = 0
    learnt_mb: int = 0
    measured_mb: int = 0
    base_mb: int = 0
    stage: Stage = Stage.ASLEEP
    users: set[int] = field(default_factory=set)
    pinned: bool = False
    ttl_sec: float | None = None
    drains: str = ""
    unwanted: bool = False
    started_at: float = 0.0
    loaded_at: float = 0.0
    load_sec: float = 0.0
    last_used: float = 0.0
    failures: int = 0
    cool_until: float = 0.0
    failure: str = ""
    waiting: deque[int] = field(default_factory=deque)

    @property
    def reserved_mb(self) -> int:
        """What it takes of the budget now."""
        in_memory = self.stage in (Stage.LOADING, Stage.READY, Stage.STOPPING)
        return max(self.need_mb, self.measured_mb) if in_memory else 0

    @property
    def is_idle(self) -> bool:
        """Ready, and nobody uses it or has pinned it. Who waits for a ready model waits behind others in the line."""
        return self.stage is Stage.READY and not self.users and not self.pinned

    def worth(self, now: float) -> float:
        """What stopping it would cost a MiB: the seconds of loading it again, the likelier the later it was used."""
        return self.load_sec / (1.0 + now - self.last_used) / max(1, self.reserved_mb)


def evict(need_mb: int, free_mb: int, candidates: Iterable[Model]) -> list[Model] | None:
    """The victims that make `need_mb` fit into `free_mb`, the first candidates first; None if even all of
    them would not do. No victim is taken that the others make needless."""
    victims: list[Model] = []
    for model in candidates:
        if free_mb >= need_mb:
            break
        victims.append(model)
        free_mb += model.reserved_mb
    if free_mb < need_mb:
        return None
    for model in tuple(victims):  # a large late victim can make small early ones needless
        if free_mb - model.reserved_mb >= need_mb:
            victims.remove(model)
            free_mb -= model.reserved_mb
    return victims
