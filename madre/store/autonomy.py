"""SQL of autonomy: whether it runs (`system_state`), its ticks (`scheduler_history`), and what its rules look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from config.auth import Role
from config.contracts.asking import BY_HERSELF
from config.contracts.autonomy import AutonomyMode, Verdict
from config.db_schema.kernel import AuditLog
from config.db_schema.madre import PlanRow, PlanStep, PowerEvent, SchedulerHistory, SystemState
from config.paging import Position
from madre.autonomy import Past, PlanSeen, Upkeep
from madre.ticks import Tick

SOURCE = BY_HERSELF  # what plans say that the loop has made; no order may say it
_KEY = "madre.autonomy"
_OPEN = ("PENDING", "WAITING", "RUNNING")
_NOTHING_CAME_OF_IT = ("quiet", "held_back")


@dataclass(frozen=True, slots=True)
class Running:
    """How the loop was started or stopped last: by whom, with what rights, when, and within what budget."""

    mode: AutonomyMode
    user: str
    role: Role
    since: datetime
    reason: str
    acts_per_hour: int


def running(session: Session) -> Running | None:
    """How the loop was left; None where nobody ever started it."""
    row = session.get(SystemState, _KEY)
    if row is None:
        return None
    kept = row.value
    return Running(
        mode=cast(AutonomyMode, kept["mode"]),
        user=kept["user"],
        role=Role(kept["role"]),
        since=row.updated_at,
        reason=kept["reason"],
        acts_per_hour=kept["acts_per_hour"],
    )


def keep_running(session: Session, wanted: Running) -> None:
    """Leave the loop like this."""
    value = {
        "mode": wanted.mode,
        "user": wanted.user,
        "role": wanted.role.value,
        "reason": wanted.reason,
        "acts_per_hour": wanted.acts_per_hour,
    }
    session.merge(SystemState(key=_KEY, value=value, updated_at=wanted.since))


def add_tick(session: Session, tick: Tick) -> None:
    """Keep one tick."""
    session.add(
        SchedulerHistory(
            at=tick.at,
            mode=tick.mode,
            started_by=tick.started_by,
            inputs=dict(tick.inputs),
            observed=dict(tick.observed),
            findings=list(tick.findings),
            decisions=list(tick.decisions),
            delegated=list(tick.delegated),
            outcome=tick.outcome,
            note=tick.note,
            elapsed_ms=tick.elapsed_ms,
        )
    )


def ticks_before(session: Session, position: Position | None, count: int) -> list[Tick]:
    """Up to `count` ticks older than `position`, newest first."""
    rows = select(SchedulerHistory).order_by(SchedulerHistory.at.desc(), SchedulerHistory.id.desc()).limit(count)
    if position is not None:
        number = int(position[1]) if position[1].isdigit() else 0
        rows = rows.where(tuple_(SchedulerHistory.at, SchedulerHistory.id) < (position[0], number))
    return [_tick(row) for row in session.scalars(rows)]


def last_tick_at(session: Session) -> datetime | None:
    """When the loop last ticked."""
    return session.scalar(select(SchedulerHistory.at).order_by(SchedulerHistory.id.desc()).limit(1))


def past_since(session: Session, since: datetime, mode: str) -> list[Past]:
    """What was decided in this mode from `since` on, of ticks that something came of.

    A plan of the loop's own that no tick tells of is a decision too: that tick died before its row.
    """
    rows = select(SchedulerHistory.at, SchedulerHistory.decisions).where(
        SchedulerHistory.at >= since,
        SchedulerHistory.mode == mode,
        SchedulerHistory.outcome.not_in(_NOTHING_CAME_OF_IT),
    )
    kept = [(at, one) for at, decisions in session.execute(rows) for one in decisions]
    decided = [Past(at, one["rule"], one["subject"], cast(Verdict, one["verdict"])) for at, one in kept]
    if mode != "active":
        return decided
    told_of = {one["plan_id"] for _at, one in kept if one["verdict"] == "delegated"}
    return decided + [past for plan_id, past in _planned_since(session, since) if plan_id not in told_of]


def _planned_since(session: Session, since: datetime) -> list[tuple[str, Past]]:
    rows = select(PlanRow).where(PlanRow.source == SOURCE, PlanRow.created_at >= since)
    return [
        (row.plan_id, Past(row.created_at, *about, "delegated"))
        for row in session.scalars(rows)
        if (about := _about(row.text))
    ]


def open_plans(session: Session) -> list[PlanSeen]:
    """Every plan that is not over, oldest first."""
    rows = select(PlanRow).where(PlanRow.status.in_(_OPEN)).order_by(PlanRow.created_at, PlanRow.plan_id)
    return [
        PlanSeen(row.plan_id, row.user, row.status, row.created_at, _about(row.text) if row.source == SOURCE else None)
        for row in session.scalars(rows)
    ]


def crashes_since(session: Session, since: datetime) -> Mapping[str, int]:
    """How often each service ended unasked."""
    rows = select(PowerEvent.service, func.count()).where(PowerEvent.at >= since, PowerEvent.act == "crashed")
    return dict(session.execute(rows.group_by(PowerEvent.service)).all())


def upkeep(session: Session, now: datetime) -> Upkeep:
    """When the house was last looked after, and since when the audit tells of it."""
    first = session.scalar(select(AuditLog.at).order_by(AuditLog.id).limit(1))
    maintained = select(func.max(AuditLog.at)).where(AuditLog.action == "maintenance.apply")
    return Upkeep(
        since=first or now,
        checked_at=_last_done(session, "db.sanity", now),
        verified_at=_last_done(session, "audit.verify", now),
        maintained_at=session.scalar(maintained),
    )


def _last_done(session: Session, action: str, now: datetime) -> datetime | None:
    recent = now - timedelta(days=30)
    steps = select(func.max(PlanStep.finished_at)).where(
        PlanStep.action == action, PlanStep.status == "DONE", PlanStep.finished_at >= recent
    )
    return session.scalar(steps)


def marked(rule: str, subject: str) -> str:
    """The text of a plan that was made for a finding."""
    return f"{rule}: {subject}"


def _about(text: str) -> tuple[str, str] | None:
    rule, colon, subject = text.partition(": ")
    return (rule, subject) if colon else None


def _tick(row: SchedulerHistory) -> Tick:
    return Tick(
        id=row.id,
        at=row.at,
        mode=cast(AutonomyMode, row.mode),
        started_by=row.started_by,
        inputs=row.inputs,
        observed=row.observed,
        findings=row.findings,
        decisions=row.decisions,
        delegated=row.delegated,
        outcome=row.outcome,
        note=row.note,
        elapsed_ms=row.elapsed_ms,
    )
