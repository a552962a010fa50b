"""SQL of what madre was asked for: `tasks`, one row for each sentence or intent, found again by its correlation id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from config.db_schema.madre import Task

_UNDER_WAY = ("QUEUED", "RUNNING")


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asked for, before anything came of it."""

    task_id: str
    correlation_id: str
    user: str
    kind: str
    source: str
    priority: str
    session_id: str | None
    text: str


def add_asked(session: Session, asked: Asked, now: datetime) -> None:
    """Keep what was asked; it runs."""
    session.add(
        Task(
            task_id=asked.task_id,
            correlation_id=asked.correlation_id,
            user=asked.user,
            kind=asked.kind,
            source=asked.source,
            priority=asked.priority,
            session_id=asked.session_id,
            text=asked.text,
            status="RUNNING",
            mode="MADRE",
            provider=None,
            degraded=False,
            response=None,
            error=None,
            plan_id=None,
            spawn_id=None,
            created_at=now,
            updated_at=now,
        )
    )


def settle_asked(session: Session, task_id: str, came: Mapping[str, Any], now: datetime) -> None:
    """Keep what came of it, by column."""
    session.execute(update(Task).where(Task.task_id == task_id).values(**came, updated_at=now))


def asked_by(session: Session, user: str | None, correlation_id: str) -> Task | None:
    """The newest of this correlation id that `user` asked for; anybody's with None."""
    rows = select(Task).where(Task.correlation_id == correlation_id)
    if user is not None:
        rows = rows.where(Task.user == user)
    return session.scalar(rows.order_by(Task.created_at.desc(), Task.task_id.desc()).limit(1))


def plan_of(session: Session, task_id: str) -> str | None:
    """The plan that came of it, from the moment there is one."""
    return session.scalar(select(Task.plan_id).where(Task.task_id == task_id))


def fail_unanswered(session: Session, error: Mapping[str, Any], now: datetime) -> list[Task]:
    """Say of what an earlier life of madre was in the middle of that it ended with that life; all of it.

    What had become a plan goes on, as plans do: it is not among it.
    """
    rows = list(session.scalars(select(Task).where(Task.status.in_(_UNDER_WAY), Task.plan_id.is_(None))))
    for row in rows:
        row.status, row.mode, row.degraded, row.error, row.updated_at = "ERROR", "FALLBACK", True, dict(error), now
    return rows
