"""One action named outright, as `POST /madre/control` takes it, brought into the form of an intent. Pure."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from config.contracts.intents import Domain, Intent
from config.contracts.plans import Control, Risk
from config.errors import Invalid
from config.services import FLEET
from madre.actions import Action, Heard

_SERVICES = frozenset({Heard.SERVICE, Heard.SERVICES})
_QUANTITIES = frozenset({Heard.DURATION, Heard.MEMORY, Heard.COUNT, Heard.FLAG})


def intent_of(body: Control, actions: Mapping[str, Action]) -> Intent:
    """The intent that a command means; of an action that nobody knows, one that leads nowhere."""
    action, target = _meant(body, actions)
    return Intent(
        domain=action.domain if action else Domain.TASK,
        action=action.name if action else body.action,
        target=target or None,
        parameters=_told(action, target, body.params) if action else body.params,
        confidence=1.0,
        original_text=text_of(body),
        risk=Risk.LOW if action else Risk.MED,
    )


def text_of(body: Control) -> str:
    """The command as a person reads it in the list of plans."""
    return " ".join(filter(None, [body.action, body.target]))


def _meant(body: Control, actions: Mapping[str, Action]) -> tuple[Action | None, str]:
    """The action, and the target that is left: `models` and `list` name `models.list` as well as that itself."""
    joined = f"{body.target}.{body.action}"
    if body.action not in actions and joined in actions:
        return actions[joined], ""
    return actions.get(body.action), body.target


def _told(action: Action, target: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, with the target as the one that it can be."""
    if not target:
        return dict(params)
    fields = action.arguments.model_fields
    name = next((name for name in _aims(fields, target) if name not in params), None)
    if name is None:
        takes = ", ".join(fields) or "nothing"
        raise Invalid(f"{action.name} has nothing left that {target!r} could be.", hint=f"It takes: {takes}.")
    return {**params, name: [target] if _is_list(fields[name].annotation) else target}


def _aims(fields: Mapping[str, FieldInfo], target: str) -> list[str]:
    """The fields that a target can be, in their order: what an act is aimed at, not how much or how long.

    The name of a service is that service, wherever an action is told one.
    """
    services = [name for name, field in fields.items() if not _SERVICES.isdisjoint(_heard(field))]
    if target in FLEET and services:
        return services
    return [name for name, field in fields.items() if _QUANTITIES.isdisjoint(_heard(field))]


def _heard(field: FieldInfo) -> list[Heard]:
    return [how for how in field.metadata if isinstance(how, Heard)]


def _is_list(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return any(_is_list(inner) for inner in get_args(annotation))
    return origin in (list, tuple)
