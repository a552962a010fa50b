"""What the steps of a plan mean for each other: whether a condition was met, and what takes a step back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from config.contracts.plans import Risk, Status
from madre.actions import Action, Arguments, action_named
from madre.plan import Plan, Step

CHANGED = "changed"  # in a step's result: false where it found things as they should become


def is_met(plan: Plan, number: int) -> bool:
    """Whether the step's condition holds: the last step before it that could find such a thing has found it.

    What nobody looked for was not found.
    """
    condition = plan.step(number).condition
    if condition is None:
        return True
    for step in reversed(plan.steps[: number - 1]):
        if condition in action_named(step.action).finds:
            return step.status is Status.DONE and bool((step.result or {}).get(condition))
    return False


def to_undo(plan: Plan) -> list[int]:
    """The steps that can be taken back, the last one first."""
    return [step.number for step in reversed(plan.steps) if undo_of(step) is not None]


def undo_of(step: Step) -> tuple[Action, Arguments] | None:
    """The action that takes `step` back, and what to tell it; None where there is nothing to take back, or no way.

    Nobody confirmed the undoing by itself, so it may not risk more than the step did: what was pulled is not deleted
    because a later step failed. What the step found done already was somebody else's, and stays.
    """
    action = action_named(step.action)
    if step.status is not Status.DONE or step.undone_at is not None or not action.reversible or action.undo is None:
        return None
    result = step.result or {}
    undo = action_named(action.undo)
    if not result.get(CHANGED, True) or _rank(undo.risk) > _rank(step.risk):
        return None
    arguments = _arguments(undo, step.arguments, result)
    return None if arguments is None else (undo, arguments)


def _arguments(undo: Action, told: Mapping[str, Any], result: Mapping[str, Any]) -> Arguments | None:
    """What the step was told and what came of it, as far as its undoing has a word for it."""
    known = {**told, **result}
    given = {name: known[name] for name in undo.arguments.model_fields if known.get(name) is not None}
    try:
        return undo.arguments.model_validate(given)
    except ValidationError:
        return None


def _rank(risk: Risk) -> int:
    return tuple(Risk).index(risk)
