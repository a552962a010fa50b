"""All SQL of spawner. Every function takes a session and never commits."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from config.contracts.spawning import LIVE_STATUSES
from config.db_schema.spawner import DaughterAttempt, DaughterRow, DaughterTask
from config.paging import Position

_OWNERS = select(DaughterTask.spawn_id, DaughterTask.user)
_ASKED_AT_ONCE = 500
_WAITING_MAX = 200  # looked at a time; the rest has its turn when these have had theirs


def job(session: Session, spawn_id: str) -> DaughterTask | None:
    """The job of this id, or of this UUID."""
    if spawn_id.startswith("spawn-"):
        return session.get(DaughterTask, spawn_id)
    return session.scalar(select(DaughterTask).where(DaughterTask.spawn_uuid == spawn_id))


def jobs_page(
    session: Session, limit: int, after: Position | None, only_of: str | None, status: str | None
) -> list[DaughterTask]:
    """Up to `limit` + 1 jobs, newest first, after a position; `only_of` keeps one user's, `status` one status."""
    rows = select(DaughterTask).order_by(DaughterTask.created_at.desc(), DaughterTask.spawn_id.desc())
    if only_of is not None:
        rows = rows.where(DaughterTask.user == only_of)
    if status is not None:
        rows = rows.where(DaughterTask.status == status)
    if after is not None:
        moment, spawn_id = after
        same = and_(DaughterTask.created_at == moment, DaughterTask.spawn_id < spawn_id)
        rows = rows.where(or_(DaughterTask.created_at < moment, same))
    return list(session.scalars(rows.limit(limit + 1)))


def unfinished(session: Session, user: str | None = None) -> int:
    """How many jobs wait or run, of all or of one user."""
    count = select(func.count()).select_from(DaughterTask).where(DaughterTask.status.in_(LIVE_STATUSES))
    return session.scalar(count if user is None else count.where(DaughterTask.user == user)) or 0


def waiting_count(session: Session) -> int:
    """How many jobs have no process, but will."""
    return session.scalar(select(func.count()).select_from(DaughterTask).where(DaughterTask.status == "PENDING")) or 0


def startable(session: Session, now: datetime) -> list[DaughterTask]:
    """Waiting jobs whose time has come, oldest first."""
    due = or_(DaughterTask.not_before.is_(None), DaughterTask.not_before <= now)
    rows = select(DaughterTask).where(DaughterTask.status == "PENDING", due, DaughterTask.expires_at > now)
    order = (DaughterTask.created_at, DaughterTask.spawn_id)
    return list(session.scalars(rows.order_by(*order).limit(_WAITING_MAX)))


def overdue(session: Session, now: datetime) -> list[DaughterTask]:
    """Jobs whose TTL has run out and that no process works on."""
    idle = or_(DaughterTask.status == "PENDING", DaughterTask.phase == "subtasks")
    live = DaughterTask.status.in_(LIVE_STATUSES)
    return list(session.scalars(select(DaughterTask).where(live, idle, DaughterTask.expires_at <= now)))


def parts_of(session: Session, spawn_id: str) -> list[DaughterTask]:
    """The subtasks of a job, in the order they were given."""
    rows = select(DaughterTask).where(DaughterTask.parent_task_id == spawn_id, DaughterTask.part.is_not(None))
    return list(session.scalars(rows.order_by(DaughterTask.part)))


def family(session: Session, root: str) -> list[DaughterTask]:
    """Everybody who descends from `root`, and itself."""
    rows = select(DaughterTask).where(DaughterTask.root_task_id == root)
    return list(session.scalars(rows.order_by(DaughterTask.created_at, DaughterTask.spawn_id)))


def daughters_of(session: Session, spawn_id: str) -> list[DaughterRow]:
    """The lives of a job, first to last."""
    rows = select(DaughterRow).where(DaughterRow.spawn_id == spawn_id)
    return list(session.scalars(rows.order_by(DaughterRow.generation)))


def daughter_of(session: Session, spawn_id: str) -> DaughterRow:
    """The current life of a job."""
    return daughters_of(session, spawn_id)[-1]


def attempts_of(session: Session, spawn_id: str) -> list[DaughterAttempt]:
    """The tries of a job, first to last."""
    rows = select(DaughterAttempt).where(DaughterAttempt.spawn_id == spawn_id)
    return list(session.scalars(rows.order_by(DaughterAttempt.number)))


def attempt(session: Session, attempt_id: str) -> DaughterAttempt | None:
    """The try of this id."""
    return session.get(DaughterAttempt, attempt_id)


def running_attempts(session: Session) -> list[DaughterAttempt]:
    """Tries that were begun and have no end."""
    return list(session.scalars(select(DaughterAttempt).where(DaughterAttempt.status == "running")))


def users_of(session: Session, spawn_ids: list[str]) -> dict[str, str]:
    """Whose these jobs are; of those that no row knows any more, nothing."""
    found: dict[str, str] = {}
    for begin in range(0, len(spawn_ids), _ASKED_AT_ONCE):
        some = DaughterTask.spawn_id.in_(spawn_ids[begin : begin + _ASKED_AT_ONCE])
        found.update((row.spawn_id, row.user) for row in session.execute(_OWNERS.where(some)))
    return found


def ended_of(session: Session, user: str, spawn_ids: list[str]) -> list[str]:
    """Which of these are a user's and have ended, the longest ago first."""
    ended = DaughterTask.status.not_in(LIVE_STATUSES)
    rows = select(DaughterTask.spawn_id).where(DaughterTask.user == user, ended).order_by(DaughterTask.finished_at)
    among = set(spawn_ids)
    return [spawn_id for spawn_id in session.scalars(rows) if spawn_id in among]


def ended_before(session: Session, moment: datetime, spawn_ids: list[str]) -> list[str]:
    """Which of these jobs ended before `moment`, or are not known at all."""
    kept = select(DaughterTask.spawn_id).where(
        DaughterTask.spawn_id.in_(spawn_ids),
        or_(DaughterTask.finished_at.is_(None), DaughterTask.finished_at >= moment),
    )
    return sorted(set(spawn_ids) - set(session.scalars(kept)))
