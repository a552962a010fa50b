"""Drawing plans up in tests: intents outright, a world in one line, a runner that only notes what it was told."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from config.auth import Caller, Role
from config.contracts.intents import Intent
from config.contracts.plans import Risk
from madre.actions import ACTIONS, action_named
from madre.draft import Ground, draft
from madre.lanes import BUILT_IN, by_name
from madre.plan import Asked, Plan
from madre.risk import Deed
from madre.windows import Window
from madre.world import KnownModel, World

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ANA = Caller("ana", Role.USER, "token-ana")
OPERATOR = Caller("olga", Role.OPERATOR, "token-olga")
EVERY_ROOM = frozenset({action.owner for action in ACTIONS.values()})


@dataclass
class ScriptedRunner:
    """Runs nothing; keeps which plans it was told to start and to cancel."""

    started: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    async def start(self, plan_id: str) -> None:
        """Note it."""
        self.started.append(plan_id)

    def prepare(self) -> None:
        pass

    async def cancel(self, plan_id: str) -> None:
        """Note it."""
        self.cancelled.append(plan_id)


def intent(action: str | None, *, confidence: float = 1.0, risk: Risk = Risk.LOW, **parameters: Any) -> Intent:
    """An intent that names an action; `condition` among the parameters is the intent's own."""
    condition = parameters.pop("condition", None)
    known = ACTIONS.get(action or "", ACTIONS["power.state"])
    return Intent(
        domain=known.domain,
        action=action,
        parameters=parameters,
        confidence=confidence,
        original_text=f"{action} {parameters}",
        condition=condition,
        risk=risk,
    )


def world(**changes: Any) -> World:
    """A sleeping house with two models."""
    given: dict[str, Any] = {
        "policy": "solo_madre",
        "services": {"tentaculo_link": "ready", "madre": "ready", "switch": "asleep", "hermes": "asleep"},
        "models": {"gemma": KnownModel("gemma", "ab" * 32, True), "smol": KnownModel("smol", "cd" * 32, True)},
    }
    return World(**{**given, **changes})


def window(name: str, *services: str, by: str = "olga", origin: str = "asked", **changes: Any) -> Window:
    """An open window."""
    given: dict[str, Any] = {
        "window_id": name,
        "services": services,
        "mode": "ttl",
        "state": "open",
        "opened_by": by,
        "reason": "",
        "origin": origin,
        "ttl_sec": 600.0,
        "created_at": NOW,
        "opened_at": NOW,
        "deadline": NOW,
        "max_deadline": NOW,
    }
    return Window(**{**given, **changes})


def deed(name: str, *, at: World | None = None, **changes: Any) -> Deed:
    """One step to be judged; fields of the deed by name, all else are its arguments."""
    fields: tuple[str, ...] = ("lane", "user", "heard", "said", "steps", "opinion")
    own = {key: changes.pop(key) for key in fields if key in changes}
    given: dict[str, Any] = {"lane": None, "user": "olga", "heard": 1.0, "said": Risk.LOW, "steps": 1, **own}
    return Deed(action=action_named(name), arguments=changes, world=at or world(), **given)


def ground(**changes: Any) -> Ground:
    """Every room is there, the lanes are those that madre was built with."""
    given: dict[str, Any] = {
        "actions": ACTIONS,
        "lanes": by_name(BUILT_IN),
        "present": EVERY_ROOM,
        "world": world(),
    }
    return Ground(**{**given, **changes})


def plan_of(*intents: Intent, caller: Caller = OPERATOR, on: Ground | None = None, **changes: Any) -> Plan:
    """The plan that intents come to."""
    asked = Asked(caller.user, caller.role, "as somebody said it", "chat", "correlation-1")
    return draft(intents, asked, caller, on or ground(), plan_id="plan-1", now=NOW, **changes)
