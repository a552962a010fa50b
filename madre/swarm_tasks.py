"""What Swarm's records mean: a service as it is declared, a task as one life of it. Pure.

The wire is the Engine API's (docs.docker.com/reference/api/engine); states of tasks are explained in
docs.docker.com/engine/swarm/how-swarm-mode-works/swarm-task-states.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

_ALIVE: Final = frozenset(
    {"new", "allocated", "pending", "assigned", "accepted", "preparing", "ready", "starting", "running"}
)
_WANTED: Final = frozenset({"new", "ready", "running"})


@dataclass(frozen=True, slots=True)
class Task:
    """One life of a service. `order` is the ForceUpdate it was made for; `complaints` say why it is not well."""

    id: str
    service: str
    order: int
    made_at: datetime
    state: str
    wanted: str
    node: str
    complaints: tuple[str, ...]

    @classmethod
    def of(cls, raw: Mapping[str, Any], service: str) -> Self:
        """From a row of `GET /tasks`."""
        status, spec = raw.get("Status") or {}, raw.get("Spec") or {}
        code = (status.get("ContainerStatus") or {}).get("ExitCode")
        complaints = (status.get("Err", ""), f"{service} ended with status {code}." if code else "")
        return cls(
            id=raw["ID"],
            service=service,
            order=spec.get("ForceUpdate", 0),
            made_at=datetime.fromisoformat(raw["CreatedAt"]),
            state=status.get("State", "new"),
            wanted=raw.get("DesiredState", "running"),
            node=raw.get("NodeID", ""),
            complaints=tuple(filter(None, complaints)),
        )

    @property
    def is_alive(self) -> bool:
        """Whether it runs, or is on its way there."""
        return self.state in _ALIVE

    @property
    def is_ending(self) -> bool:
        """Whether it runs still, but should not any more."""
        return self.wanted not in _WANTED


@dataclass(frozen=True, slots=True)
class Declared:
    """A service of the stack as Swarm has it; `raw` is a row of `GET /services`."""

    id: str
    service: str
    version: int
    raw: Mapping[str, Any]

    @classmethod
    def of(cls, raw: Mapping[str, Any], stack: str) -> Self:
        """From a row of `GET /services`."""
        return cls(raw["ID"], raw["Spec"]["Name"].removeprefix(f"{stack}_"), raw["Version"]["Index"], raw)

    @property
    def order(self) -> int:
        """How often a new task was ordered."""
        return int(self.raw["Spec"]["TaskTemplate"].get("ForceUpdate", 0))

    @property
    def replicas(self) -> int:
        """How many tasks should run."""
        return int((self.raw["Spec"]["Mode"].get("Replicated") or {}).get("Replicas", 0))

    def to_start(self, alive: Sequence[Task]) -> dict[str, Any] | None:
        """What must be declared so that a new task is made; None where one is alive, even if it is ending."""
        return None if alive else self._changed(replicas=1, order=self.order + 1)

    def to_stop(self) -> dict[str, Any] | None:
        """What must be declared so that no task is left; None where that is so already."""
        return self._changed(replicas=0, order=self.order) if self.replicas else None

    def _changed(self, *, replicas: int, order: int) -> dict[str, Any]:
        spec: dict[str, Any] = copy.deepcopy(dict(self.raw["Spec"]))
        spec["Mode"] = {"Replicated": {"Replicas": replicas}}
        spec["TaskTemplate"]["ForceUpdate"] = order
        return spec
