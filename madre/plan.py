"""A plan: the typed steps that a sentence became, and their life. Pure; told the time; every change is a new plan.

    WAITING ──(a)──▶ RUNNING ──(b)──▶ DONE, or ERROR where a step failed
       │                │
       └──(c)──▶ CANCELLED ◀──(c)──┘

(a) its confirmation came, or it needed none; (b) no step is left; (c) somebody ended it, or nobody confirmed it in
time. A step is PENDING, RUNNING and DONE or ERROR; one that was not needed, or not reached, ends CANCELLED.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from config.auth import Role
from config.clock import rfc3339
from config.contracts.plans import Fault, Risk, Status, StepType
from config.errors import Conflict, NotFound

MAX_STEPS = 20
_HASH_FORM = 1  # part of every hash: a plan drawn up under another form is another plan


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked for a plan, in which words, and where: `source` is the door it came through (`chat`, `control`, …)."""

    user: str
    role: Role
    text: str
    source: str
    correlation_id: str
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One registered action with validated arguments, as JSON; `number` counts from 1.

    With a `condition` it is only done if a step before found that; before `not_before` it does not begin.
    """

    number: int
    action: str
    step_type: StepType
    arguments: Mapping[str, Any]
    risk: Risk
    condition: str | None = None
    not_before: datetime | None = None
    status: Status = Status.PENDING
    attempts: int = 0
    result: Mapping[str, Any] | None = None
    error: Fault | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    undone_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be or was done. `observed` are the facts it was drawn up against; `windows` what it opened itself."""

    plan_id: str
    asked: Asked
    steps: tuple[Step, ...]
    risk: Risk
    reasons: tuple[str, ...]
    status: Status
    observed: Mapping[str, Any]
    created_at: datetime
    windows: tuple[str, ...] = ()
    error: Fault | None = None
    cancel_asked_at: datetime | None = None
    confirmed_by: str | None = None
    confirmed_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def user(self) -> str:
        """Whose it is."""
        return self.asked.user

    def step(self, number: int) -> Step:
        """The step of this number; NotFound for one there is not."""
        if not 1 <= number <= len(self.steps):
            raise NotFound(f"Plan {self.plan_id} has no step {number}.")
        return self.steps[number - 1]


def plan_hash(plan: Plan) -> str:
    """SHA-256 of what the plan will do, for whom, and how risky that is: what a confirmation is bound to.

    Over canonical JSON (sorted keys, no white space), so the same content always has the same hash; what happens to
    the plan later is no part of it.
    """
    content = {
        "form": _HASH_FORM,
        "plan_id": plan.plan_id,
        "user": plan.asked.user,
        "role": plan.asked.role.value,
        "text": plan.asked.text,
        "risk": plan.risk.value,
        "steps": [_content(step) for step in plan.steps],
    }
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def canonical(value: Any) -> str:
    """`value` as JSON that has one spelling: sorted keys, no white space, ASCII; ValueError for NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _content(step: Step) -> dict[str, Any]:
    return {
        "number": step.number,
        "action": step.action,
        "step_type": step.step_type.value,
        "arguments": dict(step.arguments),
        "condition": step.condition,
        "not_before": step.not_before and rfc3339(step.not_before),
        "risk": step.risk.value,
    }


def started(plan: Plan, now: datetime, confirmed_by: str | None = None) -> Plan:
    """(a) It runs; Conflict unless it waits for that."""
    if plan.status is not Status.WAITING:
        raise Conflict(f"Plan {plan.plan_id} is {plan.status}; only a waiting plan can be started.")
    confirmed_at = now if confirmed_by else None
    return replace(plan, status=Status.RUNNING, started_at=now, confirmed_by=confirmed_by, confirmed_at=confirmed_at)


def cancelled(plan: Plan, why: str, now: datetime) -> Plan:
    """(c) It is over, with every step that was not; the same plan if it was over already."""
    if plan.status.is_over:
        return plan
    steps = tuple(step if step.status.is_over else _not_done(step, why, now) for step in plan.steps)
    return replace(
        plan, steps=steps, status=Status.CANCELLED, error=Fault(code="cancelled", detail=why), finished_at=now
    )


def asked_to_end(plan: Plan, now: datetime) -> Plan:
    """Somebody wants a running plan to end: no further step of it begins."""
    if plan.status is not Status.RUNNING or plan.cancel_asked_at is not None:
        return plan
    return replace(plan, cancel_asked_at=now)


def step_begun(plan: Plan, number: int, now: datetime) -> Plan:
    """A step is being done, for the first time or once more after a crash; Conflict once it is over."""

    def begun(step: Step) -> Step:
        if step.status.is_over:
            raise Conflict(f"Step {number} of plan {plan.plan_id} is {step.status}; it is not done again.")
        return replace(step, status=Status.RUNNING, attempts=step.attempts + 1, started_at=step.started_at or now)

    return _with(plan, number, begun)


def step_done(plan: Plan, number: int, result: Mapping[str, Any], now: datetime) -> Plan:
    """A step did what it should; said again it changes nothing."""
    return _with(plan, number, lambda step: _over(step, Status.DONE, now, result=result))


def step_failed(plan: Plan, number: int, fault: Fault, now: datetime) -> Plan:
    """A step did not; said again it changes nothing. What it noted stays: it says what may still go on elsewhere."""
    return _with(plan, number, lambda step: _over(step, Status.ERROR, now, result=step.result, error=fault))


def step_not_needed(plan: Plan, number: int, why: str, now: datetime) -> Plan:
    """A step whose condition was not found."""
    return _with(plan, number, lambda step: step if step.status.is_over else _not_done(step, why, now))


def step_undone(plan: Plan, number: int, now: datetime) -> Plan:
    """What a step did was taken back."""
    return _with(plan, number, lambda step: step if step.undone_at else replace(step, undone_at=now))


def finished(plan: Plan, now: datetime) -> Plan:
    """(b) It is over, with every step that was not reached: ERROR with the first fault of a step, or DONE."""
    if plan.status.is_over:
        return plan
    fault = next((step.error for step in plan.steps if step.status is Status.ERROR), None)
    why = "a step before it failed" if fault else "not reached"
    steps = tuple(step if step.status.is_over else _not_done(step, why, now) for step in plan.steps)
    status = Status.ERROR if fault else Status.DONE
    return replace(plan, steps=steps, status=status, error=fault, finished_at=now)


def failed(plan: Plan, fault: Fault, now: datetime) -> Plan:
    """It is over because of something that is no step's: the runner could not carry it on."""
    if plan.status.is_over:
        return plan
    steps = tuple(step if step.status.is_over else _not_done(step, fault.detail, now) for step in plan.steps)
    return replace(plan, steps=steps, status=Status.ERROR, error=fault, finished_at=now)


def _with(plan: Plan, number: int, change: Callable[[Step], Step]) -> Plan:
    before = plan.step(number)
    after = change(before)
    if after is before:
        return plan
    return replace(plan, steps=(*plan.steps[: number - 1], after, *plan.steps[number:]))


def _over(
    step: Step, status: Status, now: datetime, *, result: Mapping[str, Any] | None = None, error: Fault | None = None
) -> Step:
    if step.status.is_over:
        return step
    return replace(step, status=status, finished_at=now, result=result, error=error)


def _not_done(step: Step, why: str, now: datetime) -> Step:
    return replace(step, status=Status.CANCELLED, finished_at=now, error=Fault(code="not_done", detail=why))
