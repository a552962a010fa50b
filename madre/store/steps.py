"""SQL of running plans: where one stands, its steps' rows, which are to be taken up.

Plain rows and statements built once: a step costs little more than its transaction, and objects that follow their rows
cost three times as much. What the session has not written yet is not seen.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, func, select, update
from sqlalchemy.orm import Session

from config.contracts.plans import Status
from config.db_schema.base import Base
from madre.plan import Plan, Step
from madre.store.plans import live_values, plan_of, step_of

_PLANS, _STEPS = Base.metadata.tables["plans"], Base.metadata.tables["plan_steps"]
_LIVE = ("status", "attempts", "result", "error", "started_at", "finished_at", "undone_at")  # of a step

_PLAN = select(_PLANS).where(_PLANS.c.plan_id == bindparam("of_plan"))
_STEPS_OF = select(_STEPS).where(_STEPS.c.plan_id == bindparam("of_plan")).order_by(_STEPS.c.number)
_NOW = (
    select(
        _PLANS.c.status.label("plan_status"),
        _PLANS.c.cancel_asked_at,
        _PLANS.c.windows,
        *(_STEPS.c[name] for name in _LIVE),
    )
    .join(_STEPS, _STEPS.c.plan_id == _PLANS.c.plan_id)
    .where(_PLANS.c.plan_id == bindparam("of_plan"), _STEPS.c.number == bindparam("of_number"))
)
_OF_STEP = and_(_STEPS.c.plan_id == bindparam("of_plan"), _STEPS.c.number == bindparam("of_number"))
_KEEP_STEP = update(_STEPS).where(_OF_STEP).values({name: bindparam(name) for name in _LIVE})
_NOTE = update(_STEPS).where(_OF_STEP).values(result=bindparam("result"))
_waiting = and_(_STEPS.c.plan_id == _PLANS.c.plan_id, _STEPS.c.status == Status.WAITING.value)
_TO_RUN = (
    select(_PLANS.c.plan_id, _PLANS.c.cancel_asked_at, func.min(_STEPS.c.not_before).label("not_before"))
    .outerjoin(_STEPS, _waiting)
    .where(_PLANS.c.status == Status.RUNNING.value)
    .group_by(_PLANS.c.plan_id, _PLANS.c.cancel_asked_at, _PLANS.c.created_at)
    .order_by(_PLANS.c.created_at)
)


def to_run(session: Session) -> dict[str, datetime | None]:
    """The plans that are to run, oldest first, each with the moment before which there is nothing to do in it."""
    rows = session.connection().execute(_TO_RUN)
    return {row.plan_id: None if row.cancel_asked_at else row.not_before for row in rows}


def plan(session: Session, plan_id: str) -> Plan | None:
    """The whole plan."""
    connection = session.connection()
    row: Any = connection.execute(_PLAN, {"of_plan": plan_id}).one_or_none()
    if row is None:
        return None
    found: Any = connection.execute(_STEPS_OF, {"of_plan": plan_id})
    return plan_of(row, map(step_of, found))


def brought_up(session: Session, known: Plan, number: int) -> Plan | None:
    """A plan known from before, with all that others may have changed since: its state, its windows, this step."""
    told = {"of_plan": known.plan_id, "of_number": number}
    row: Any = session.connection().execute(_NOW, told).one_or_none()
    if row is None:
        return None
    return replace(
        known,
        status=Status(row.plan_status),
        cancel_asked_at=row.cancel_asked_at,
        windows=tuple(row.windows),
        steps=(*known.steps[: number - 1], replace(known.step(number), **live_values(row)), *known.steps[number:]),
    )


def keep_step(session: Session, plan: Plan, number: int) -> None:
    """Bring the row of one step up to date, and no other."""
    session.connection().execute(_KEEP_STEP, _row(plan, plan.step(number)))


def keep_end(session: Session, before: Plan, after: Plan, now: datetime) -> None:
    """Bring up to date what the end of a plan changes: its own row, and the steps that were not reached."""
    changed = [_row(after, step) for step in after.steps if step is not before.step(step.number)]
    if changed:
        session.connection().execute(_KEEP_STEP, changed)
    _set(
        session,
        after,
        status=after.status.value,
        error=after.error.model_dump() if after.error else None,
        finished_at=after.finished_at,
        updated_at=now,
    )


def note(session: Session, plan_id: str, number: int, noted: dict[str, Any]) -> None:
    """Keep what a step that runs must know of itself after a crash; its result takes the same place."""
    session.connection().execute(_NOTE, {"of_plan": plan_id, "of_number": number, "result": noted})


def keep_windows(session: Session, plan: Plan, now: datetime) -> None:
    """Bring the list of windows that a plan opened up to date."""
    _set(session, plan, windows=list(plan.windows), updated_at=now)


def ask_to_end(session: Session, plan: Plan, now: datetime) -> None:
    """Keep that somebody wants the plan to end."""
    _set(session, plan, cancel_asked_at=plan.cancel_asked_at, updated_at=now)


def _set(session: Session, plan: Plan, **values: Any) -> None:
    session.connection().execute(update(_PLANS).where(_PLANS.c.plan_id == plan.plan_id).values(**values))


def _row(plan: Plan, step: Step) -> dict[str, Any]:
    return {
        "of_plan": plan.plan_id,
        "of_number": step.number,
        "status": step.status.value,
        "attempts": step.attempts,
        "result": None if step.result is None else dict(step.result),
        "error": step.error.model_dump() if step.error else None,
        "started_at": step.started_at,
        "finished_at": step.finished_at,
        "undone_at": step.undone_at,
    }
