"""The facts that a plan is made against: what a step looks at and changes, as it is now. Pure.

Only what would change the meaning of a step is a fact: not a window's seconds, and not the leases with which requests
wake services, which come and go by themselves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from config.contracts.power import Policy, ServiceState
from madre.actions import Action
from madre.plan import canonical
from madre.windows import Window

Facts = dict[str, str]
_UP: frozenset[ServiceState] = frozenset({"starting", "ready", "unready"})
_OPEN = frozenset({"PENDING", "WAITING", "RUNNING"})
GONE = "there is none"


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model of the registry, as far as a plan can depend on it."""

    name: str
    sha256: str | None
    enabled: bool


@dataclass(frozen=True, slots=True)
class World:
    """The house at one moment. `plans` and `tasks` are the statuses of those that are asked about, by id."""

    policy: Policy
    services: Mapping[str, ServiceState]
    windows: tuple[Window, ...] = ()
    models: Mapping[str, KnownModel] = field(default_factory=dict)
    plans: Mapping[str, str] = field(default_factory=dict)
    tasks: Mapping[str, str] = field(default_factory=dict)

    def is_up(self, service: str) -> bool:
        """Whether a process of it is there."""
        return self.services.get(service) in _UP

    def holding(self, service: str) -> list[Window]:
        """The windows that somebody asked for and that hold it."""
        return [window for window in self.asked_windows() if service in window.services]

    def asked_windows(self) -> list[Window]:
        """The windows that hold services because a person or a program asked for it."""
        return asked(self.windows)


def asked(windows: Iterable[Window]) -> list[Window]:
    """Those of `windows` that hold services because a person or a program asked for it: not the leases of requests."""
    return [window for window in windows if window.holds and window.origin != "wake"]


@dataclass(frozen=True, slots=True)
class Change:
    """One fact that is not what it was."""

    what: str
    was: str
    now: str


def facts(action: Action, arguments: Mapping[str, Any], world: World) -> Facts:
    """What `action` with these arguments depends on, by name, each as one short text."""
    touched = {*action.reads, *action.writes}
    found: Facts = {}
    if "power" in touched:
        found |= _power(world)
    if "services" in touched or "power" in touched:
        for service in _services_in(arguments):
            found |= _service(service, world)
    if "models" in touched or "memory" in touched:
        found |= _models(arguments, world, everything="models" in action.writes)
    if "plans" in touched and (plan_id := arguments.get("plan_id")):
        found[f"plan {plan_id}"] = _under_way(world.plans.get(str(plan_id)))
    if "tasks" in touched and (task_id := arguments.get("task_id")):
        found[f"task {task_id}"] = _under_way(world.tasks.get(str(task_id)))
    return found


def fingerprint(observed: Mapping[str, str]) -> str:
    """SHA-256 of facts."""
    return hashlib.sha256(canonical(dict(observed)).encode()).hexdigest()


def difference(before: Mapping[str, str], now: Mapping[str, str]) -> list[Change]:
    """Every fact that is not what it was, in the order of their names."""
    return [
        Change(what, before.get(what, GONE), now.get(what, GONE))
        for what in sorted({*before, *now})
        if before.get(what, GONE) != now.get(what, GONE)
    ]


def was_there(window: Window, observed: Mapping[str, str]) -> bool:
    """Whether a window was among the facts that something was judged by."""
    return _name_of(window) in observed


def _power(world: World) -> Facts:
    return {"power policy": world.policy} | {
        _name_of(window): f"{window.mode} on {', '.join(window.services)}" for window in world.asked_windows()
    }


def _name_of(window: Window) -> str:
    return f"window {window.window_id}"


def _service(name: str, world: World) -> Facts:
    held = ", ".join(sorted(window.window_id for window in world.holding(name))) or "nobody"
    return {f"service {name}": f"{'up' if world.is_up(name) else 'down'}, held by {held}"}


def _services_in(arguments: Mapping[str, Any]) -> Iterable[str]:
    one = arguments.get("service")
    return [*([str(one)] if one else []), *map(str, arguments.get("services") or ())]


def _models(arguments: Mapping[str, Any], world: World, *, everything: bool) -> Facts:
    if name := arguments.get("model"):
        return {f"model {name}": _shown(world.models.get(str(name)))}
    if everything:
        return {f"model {name}": _shown(model) for name, model in world.models.items()}
    return {}


def _under_way(status: str | None) -> str:
    """How far a plan or task is, as far as that matters to somebody who wants to end it."""
    if status is None:
        return GONE
    return "under way" if status in _OPEN else status


def _shown(model: KnownModel | None) -> str:
    if model is None:
        return GONE
    return f"{'enabled' if model.enabled else 'disabled'}, {(model.sha256 or 'no hash')[:12]}"
