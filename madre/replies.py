"""Madre's own words: what she says of a plan, and what a model is told before it answers. Pure.

Her words are fixed and built from what is so; a model's words are its own and carry its name. Neither stands in for
the other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from config.clock import rfc3339
from config.contracts.conversations import Confirmation, Mode, ProposedStep
from config.contracts.plans import Fault, Plan, Status, Step, StepType
from config.errors import VX11Error

AnswerStatus = Literal["QUEUED", "RUNNING", "WAITING", "DONE", "ERROR"]
_STATUS: Mapping[Status, AnswerStatus] = {
    Status.PENDING: "QUEUED",
    Status.WAITING: "WAITING",
    Status.RUNNING: "RUNNING",
    Status.DONE: "DONE",
    Status.ERROR: "ERROR",
    Status.CANCELLED: "ERROR",
}
_LONGEST_RESULT = 2_000
_LONGEST_VALUE = 120
_MANNERS = (
    "You are the assistant of VX11, a small fleet of AI services on one machine. Answer briefly, in the language of "
    "the person. You cannot act: an act becomes a plan by itself when the person orders it plainly. Say so when you do "
    "not know; invent nothing about this machine."
)


@dataclass(frozen=True, slots=True)
class Known:
    """What madre knows at this moment that a model may be asked about."""

    now: datetime
    policy: str
    services: Mapping[str, str]
    windows: Sequence[Sequence[str]]
    waiting_plans: Sequence[str]


def briefing(known: Known, context: Mapping[str, Any]) -> str:
    """What a model is told before a conversation: how to behave, how the fleet is, what the caller knows."""
    awake = [name for name, state in known.services.items() if state == "ready"]
    facts = {
        "time": rfc3339(known.now),
        "policy": known.policy,
        "awake": awake,
        "asleep": [name for name in known.services if name not in awake],
        "windows": [list(window) for window in known.windows],
        "plans_waiting_for_this_person": list(known.waiting_plans),
    }
    told = f"{_MANNERS}\nFacts of this moment: {json.dumps(facts, ensure_ascii=False)}"
    return told + (f"\nThe person's program adds: {json.dumps(context, ensure_ascii=False)}" if context else "")


def status_of(plan: Plan) -> AnswerStatus:
    """How whoever asked for the plan sees it; one that was cancelled came to nothing."""
    return _STATUS[plan.status]


def mode_of(plan: Plan) -> Mode:
    """Who answers with this plan: SPAWNER where all of it is daughters."""
    types = {step.step_type for step in plan.steps}
    return "SPAWNER" if types == {StepType.SPAWNER_REQUEST} else "MADRE"


def said_of(plan: Plan) -> str:
    """The plan in words: how it stands, its steps, and what there is to do about it."""
    lines = [_headline(plan), *(_line(step) for step in plan.steps)]
    if plan.status is Status.WAITING and plan.reasons:
        lines.append(f"Because {'; '.join(plan.reasons[:3])}.")
    return "\n".join(lines)


def refused(error: VX11Error, understood: Sequence[str] = ()) -> str:
    """Why nothing was done, in words, and what the sentence was read as, in the typed form."""
    why = f"Nothing was done. {error.detail}" + (f" {error.hint}" if error.hint else "")
    return "\n".join([why, *(["It was read as:"] if understood else []), *understood])


def proposed(plan: Plan) -> list[ProposedStep]:
    """The plan's steps as an answer shows them."""
    return [ProposedStep.model_validate(step.model_dump()) for step in plan.steps]


def confirmation(plan: Plan) -> Confirmation | None:
    """How to let the plan run, where it waits and its token is at hand."""
    if plan.status is not Status.WAITING or plan.confirm_token is None:
        return None
    call = f'POST /madre/plans/{plan.plan_id}/confirm {{"confirm_token": …}}'
    return Confirmation(call=call, confirm_token=plan.confirm_token, expires_at=plan.confirm_until)


def fault_of(error: VX11Error) -> Fault:
    """An error of the tree as an answer carries it."""
    return Fault(code=error.code, detail=error.detail)


def results(plan: Plan) -> dict[str, Any] | None:
    """What the steps that are done found, by number."""
    found = {str(step.number): step.result for step in plan.steps if step.result is not None}
    return found or None


def _headline(plan: Plan) -> str:
    match plan.status:
        case Status.WAITING:
            return f"Plan {plan.plan_id}, risk {plan.risk}, waits for your confirmation:"
        case Status.DONE:
            return f"Done, as plan {plan.plan_id}:"
        case Status.ERROR:
            return f"Plan {plan.plan_id} failed: {plan.error.detail if plan.error else 'no reason is known'}"
        case Status.CANCELLED:
            return f"Plan {plan.plan_id} was cancelled:"
        case _:
            return f"Plan {plan.plan_id} runs:"


def _line(step: Step) -> str:
    told = ", ".join(f"{name} {_short(value)}" for name, value in step.arguments.items() if value not in (None, "", []))
    line = f"{step.number}. {step.title}" + (f" ({told})" if told else "")
    if step.condition and not step.status.is_over:
        line += f", if {step.condition} is found"
    if step.not_before and not step.status.is_over:
        line += f", not before {rfc3339(step.not_before)}"
    if step.status is Status.DONE and step.result:
        return f"{line}: {json.dumps(step.result, ensure_ascii=False)[:_LONGEST_RESULT]}"
    if step.status in (Status.ERROR, Status.CANCELLED) and step.error:
        return f"{line}: {step.status}, {step.error.detail}"
    return line


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "…"
