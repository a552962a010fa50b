"""SQL of running plans: one step's row, what it noted on its way, which plans were cut short."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from config.contracts.plans import Status
from config.db_schema.madre import PlanRow, PlanStep
from madre.plan import Plan, Step


def unfinished(session: Session) -> list[str]:
    """The plans that run, or did when madre was cut short; oldest first."""
    rows = select(PlanRow.plan_id).where(PlanRow.status == Status.RUNNING.value).order_by(PlanRow.created_at)
    return list(session.scalars(rows))


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
    row = update(PlanRow).where(PlanRow.plan_id == plan.plan_id)
    session.execute(row.values(windows=list(plan.windows), updated_at=now))


def _set(session: Session, plan_id: str, number: int, **values: Any) -> None:
    row = update(PlanStep).where(PlanStep.plan_id == plan_id, PlanStep.number == number)
    session.execute(row.values(**values).execution_options(synchronize_session=False))


def _json(step: Step) -> dict[str, Any] | None:
    return None if step.result is None else dict(step.result)
