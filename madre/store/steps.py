"""SQL of running plans: one step's row, what it noted on its way, which plans were cut short."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from config.contracts.plans import Status
from config.db_schema.base import Base
from config.db_schema.madre import PlanRow
from madre.plan import Plan, Step
from madre.store.plans import plan_of, step_of

_PLANS, _STEPS = Base.metadata.tables["plans"], Base.metadata.tables["plan_steps"]


def unfinished(session: Session) -> list[str]:
    """The plans that run, or did when madre was cut short; oldest first."""
    rows = select(PlanRow.plan_id).where(PlanRow.status == Status.RUNNING.value).order_by(PlanRow.created_at)
    return list(session.scalars(rows))


def plan(session: Session, plan_id: str) -> Plan | None:
    """The plan, read as plain rows: a step reads it twice, and objects that follow their rows cost three times as much.

    What the session has not written yet is not seen.
    """
    connection = session.connection()
    row: Any = connection.execute(select(_PLANS).where(_PLANS.c.plan_id == plan_id)).one_or_none()
    if row is None:
        return None
    found: Any = connection.execute(select(_STEPS).where(_STEPS.c.plan_id == plan_id).order_by(_STEPS.c.number))
    return plan_of(row, map(step_of, found))


def keep_step(session: Session, plan: Plan, number: int) -> None:
    """Bring the row of one step up to date, and no other."""
    step = plan.step(number)
    _set(
        session,
        plan.plan_id,
        number,
        status=step.status.value,
        attempts=step.attempts,
        result=_json(step),
        error=step.error.model_dump() if step.error else None,
        started_at=step.started_at,
        finished_at=step.finished_at,
        undone_at=step.undone_at,
    )


def note(session: Session, plan_id: str, number: int, noted: dict[str, Any]) -> None:
    """Keep what a step that runs must know of itself after a crash; its result takes the same place."""
    _set(session, plan_id, number, result=noted)


def keep_windows(session: Session, plan: Plan, now: datetime) -> None:
    """Bring the list of windows that a plan opened up to date."""
    row = update(_PLANS).where(_PLANS.c.plan_id == plan.plan_id)
    session.connection().execute(row.values(windows=list(plan.windows), updated_at=now))


def _set(session: Session, plan_id: str, number: int, **values: Any) -> None:
    row = update(_STEPS).where(_STEPS.c.plan_id == plan_id, _STEPS.c.number == number)
    session.connection().execute(row.values(**values))


def _json(step: Step) -> dict[str, Any] | None:
    return None if step.result is None else dict(step.result)
