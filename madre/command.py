"""One action named outright, as `POST /madre/control` takes it, brought into the form of an intent. Pure."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin

from config.contracts.intents import Domain, Intent
from config.contracts.plans import Control, Risk
from config.errors import Invalid
from madre.actions import Action


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
    """The arguments, the target as the first of those that were not given."""
    if not target:
        return dict(params)
    fields = action.arguments.model_fields
    first = next((name for name in fields if name not in params), None)
    if first is None:
        raise Invalid(f"{action.name} has nothing that {target!r} could be.", hint=f"It takes: {', '.join(fields)}.")
    return {**params, first: [target] if _is_list(fields[first].annotation) else target}


def _is_list(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return any(_is_list(inner) for inner in get_args(annotation))
    return origin in (list, tuple)
