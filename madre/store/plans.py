"""SQL of plans: their rows and those of their steps and confirmations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, tuple_, update
from sqlalchemy.orm import Session

from config.auth import Role
from config.contracts.plans import Fault, Risk, Status, StepType
from config.db_schema.madre import ConfirmationRow, PlanRow, PlanStep
from config.paging import Position
from madre.plan import Asked, Plan, Step, plan_hash


def plan(session: Session, plan_id: str) -> Plan | None:
    """The plan called `plan_id`, whoever's it is."""
    row = session.get(PlanRow, plan_id)
    return plan_of(row, _steps(session, [plan_id]).get(plan_id, ())) if row else None


def keep_plan(session: Session, kept: Plan, now: datetime) -> None:
    """Insert `kept`, or bring its rows up to date."""
    row = session.get(PlanRow, kept.plan_id)
    if row is None:
        row = _new_row(kept)
        session.add(row)
    row.status, row.windows, row.error = kept.status.value, list(kept.windows), _fault(kept.error)
    row.risk, row.reasons, row.plan_hash = kept.risk.value, list(kept.reasons), plan_hash(kept)
    row.observed, row.cancel_asked_at = dict(kept.observed), kept.cancel_asked_at
    row.confirmed_by, row.confirmed_at = kept.confirmed_by, kept.confirmed_at
    row.started_at, row.finished_at, row.updated_at = kept.started_at, kept.finished_at, now
    session.flush()  # a step's row refers to its plan's
    _keep_steps(session, kept)


def plans_before(
    session: Session, position: Position | None, count: int, *, user: str | None, status: Status | None = None
) -> list[Plan]:
    """Up to `count` plans older than `position`, newest first; of one user, or of all with None."""
    rows = select(PlanRow).order_by(PlanRow.created_at.desc(), PlanRow.plan_id.desc()).limit(count)
    if user is not None:
        rows = rows.where(PlanRow.user == user)
    if status is not None:
        rows = rows.where(PlanRow.status == status.value)
    if position is not None:
        rows = rows.where(tuple_(PlanRow.created_at, PlanRow.plan_id) < position)
    found = list(session.scalars(rows))
    steps = _steps(session, [row.plan_id for row in found])
    return [plan_of(row, steps.get(row.plan_id, ())) for row in found]


def waiting_since(session: Session, before: datetime) -> list[Plan]:
    """The plans that were drawn up before that moment and wait still, oldest first."""
    waiting = PlanRow.status == Status.WAITING.value
    rows = select(PlanRow).where(waiting, PlanRow.created_at <= before).order_by(PlanRow.created_at)
    found = list(session.scalars(rows))
    steps = _steps(session, [row.plan_id for row in found])
    return [plan_of(row, steps.get(row.plan_id, ())) for row in found]


def open_plans_of(session: Session, user: str) -> int:
    """How many plans of `user` wait or run."""
    statuses = (Status.WAITING.value, Status.RUNNING.value, Status.PENDING.value)
    count = select(func.count()).select_from(PlanRow).where(PlanRow.user == user, PlanRow.status.in_(statuses))
    return session.scalar(count) or 0


def add_confirmation(session: Session, row: ConfirmationRow) -> None:
    """Keep what a new token stands for; every token of the plan before it is void from now on."""
    revoke_confirmations(session, row.plan_id, row.created_at)
    session.add(row)


def confirmation_of(session: Session, token_sha256: str) -> ConfirmationRow | None:
    """What the token with this hash stands for."""
    return session.scalar(select(ConfirmationRow).where(ConfirmationRow.token_sha256 == token_sha256))


def revoke_confirmations(session: Session, plan_id: str, now: datetime) -> None:
    """Make every unused token of a plan void."""
    unused = update(ConfirmationRow).where(
        ConfirmationRow.plan_id == plan_id, ConfirmationRow.used_at.is_(None), ConfirmationRow.revoked_at.is_(None)
    )
    session.execute(unused.values(revoked_at=now))


def _steps(session: Session, plan_ids: Sequence[str]) -> dict[str, tuple[Step, ...]]:
    found: dict[str, list[Step]] = {}
    rows = select(PlanStep).where(PlanStep.plan_id.in_(plan_ids)).order_by(PlanStep.plan_id, PlanStep.number)
    for row in session.scalars(rows) if plan_ids else ():
        found.setdefault(row.plan_id, []).append(step_of(row))
    return {plan_id: tuple(steps) for plan_id, steps in found.items()}


def _new_row(kept: Plan) -> PlanRow:
    asked = kept.asked
    return PlanRow(
        plan_id=kept.plan_id,
        user=asked.user,
        role=asked.role.value,
        text=asked.text,
        source=asked.source,
        session_id=asked.session_id,
        correlation_id=asked.correlation_id,
        created_at=kept.created_at,
    )


def _keep_steps(session: Session, kept: Plan) -> None:
    rows = select(PlanStep).where(PlanStep.plan_id == kept.plan_id)
    known = {row.number: row for row in session.scalars(rows)}
    for step in kept.steps:
        row = known.get(step.number)
        if row is None:
            row = _new_step(kept.plan_id, step)
            session.add(row)
        row.risk = step.risk.value
        row.status, row.attempts, row.error = step.status.value, step.attempts, _fault(step.error)
        row.result = None if step.result is None else dict(step.result)
        row.started_at, row.finished_at, row.undone_at = step.started_at, step.finished_at, step.undone_at


def _new_step(plan_id: str, step: Step) -> PlanStep:
    return PlanStep(
        plan_id=plan_id,
        number=step.number,
        action=step.action,
        step_type=step.step_type.value,
        arguments=dict(step.arguments),
        condition=step.condition,
        not_before=step.not_before,
    )


def plan_of(row: PlanRow, steps: Iterable[Step]) -> Plan:
    """The plan that a row and its steps stand for."""
    return Plan(
        plan_id=row.plan_id,
        asked=Asked(
            user=row.user,
            role=Role(row.role),
            text=row.text,
            source=row.source,
            correlation_id=row.correlation_id,
            session_id=row.session_id,
        ),
        steps=tuple(steps),
        risk=Risk(row.risk),
        reasons=tuple(row.reasons),
        status=Status(row.status),
        observed=row.observed,
        created_at=row.created_at,
        windows=tuple(row.windows),
        error=_said(row.error),
        cancel_asked_at=row.cancel_asked_at,
        confirmed_by=row.confirmed_by,
        confirmed_at=row.confirmed_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


def step_of(row: PlanStep) -> Step:
    """The step that a row stands for."""
    return Step(
        number=row.number,
        action=row.action,
        step_type=StepType(row.step_type),
        arguments=row.arguments,
        risk=Risk(row.risk),
        condition=row.condition,
        not_before=row.not_before,
        **live_values(row),
    )


def live_values(row: PlanStep) -> dict[str, Any]:
    """All of a step that changes while its plan runs, as its row has it."""
    return {
        "status": Status(row.status),
        "attempts": row.attempts,
        "result": row.result,
        "error": _said(row.error),
        "started_at": row.started_at,
        "finished_at": row.finished_at,
        "undone_at": row.undone_at,
    }


def _fault(fault: Fault | None) -> dict[str, Any] | None:
    return fault.model_dump() if fault else None


def _said(error: dict[str, Any] | None) -> Fault | None:
    return Fault.model_validate(error) if error else None
