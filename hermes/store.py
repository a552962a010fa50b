"""All SQL of hermes. Every function takes a session and never commits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, delete, func, or_, select
from sqlalchemy.orm import Session

from config.contracts.models import LIVE_STATES
from config.db_schema.hermes import CliOnboardingState, CliProvider, LocalModelV2, ModelDownload
from config.db_schema.switch import ModelUsageStat
from config.paging import Position


@dataclass(frozen=True, slots=True)
class Uses:
    """Requests to a model since the last time they were counted."""

    count: int
    last_id: int
    last_at: datetime


def model_named(session: Session, name: str) -> LocalModelV2 | None:
    """The registry row of this name."""
    return session.get(LocalModelV2, name)


def model_at(session: Session, path: str) -> LocalModelV2 | None:
    """A row whose file is `path`; several rows may share one file."""
    return session.scalars(select(LocalModelV2).where(LocalModelV2.path == path)).first()


def model_with_hash(session: Session, sha256: str) -> LocalModelV2 | None:
    """A row whose file has this hash and is there."""
    wanted = select(LocalModelV2).where(LocalModelV2.sha256 == sha256, LocalModelV2.compatibility != "missing")
    return session.scalars(wanted).first()


def all_models(session: Session) -> list[LocalModelV2]:
    """Every row, by name."""
    return list(session.scalars(select(LocalModelV2).order_by(LocalModelV2.name)))


def models_page(session: Session, limit: int, after: Position | None) -> list[LocalModelV2]:
    """Up to `limit` + 1 rows, newest first, after a position."""
    rows = select(LocalModelV2).order_by(LocalModelV2.created_at.desc(), LocalModelV2.name.desc())
    if after is not None:
        moment, name = after
        same = and_(LocalModelV2.created_at == moment, LocalModelV2.name < name)
        rows = rows.where(or_(LocalModelV2.created_at < moment, same))
    return list(session.scalars(rows.limit(limit + 1)))


def job_with_id(session: Session, job_id: str) -> ModelDownload | None:
    """The job of this id."""
    return session.get(ModelDownload, job_id)


def live_jobs(session: Session) -> list[ModelDownload]:
    """Jobs that wait or run, oldest first."""
    live = select(ModelDownload).where(ModelDownload.state.in_(LIVE_STATES))
    return list(session.scalars(live.order_by(ModelDownload.created_at, ModelDownload.job_id)))


def jobs_page(session: Session, limit: int, after: Position | None, only_of: str | None) -> list[ModelDownload]:
    """Up to `limit` + 1 jobs, newest first, after a position; `only_of` keeps one user's."""
    rows = select(ModelDownload).order_by(ModelDownload.created_at.desc(), ModelDownload.job_id.desc())
    if only_of is not None:
        rows = rows.where(ModelDownload.requested_by == only_of)
    if after is not None:
        moment, job_id = after
        same = and_(ModelDownload.created_at == moment, ModelDownload.job_id < job_id)
        rows = rows.where(or_(ModelDownload.created_at < moment, same))
    return list(session.scalars(rows.limit(limit + 1)))


def uses_since(session: Session, model: str, last_id: int) -> Uses | None:
    """What Switch's statistics say of a model after row `last_id`; None: nothing new."""
    found = session.execute(
        select(func.count(), func.max(ModelUsageStat.id), func.max(ModelUsageStat.at)).where(
            ModelUsageStat.provider == "local", ModelUsageStat.model == model, ModelUsageStat.id > last_id
        )
    ).one()
    count, newest, at = found
    return Uses(count, newest, at) if count else None


def program_named(session: Session, name: str) -> CliProvider | None:
    """The row of a command-line program."""
    return session.get(CliProvider, name)


def all_programs(session: Session) -> list[CliProvider]:
    """Every program's row, by name."""
    return list(session.scalars(select(CliProvider).order_by(CliProvider.name)))


def steps_of(session: Session, name: str) -> list[CliOnboardingState]:
    """The onboarding steps of a program, in no order."""
    return list(session.scalars(select(CliOnboardingState).where(CliOnboardingState.provider == name)))


def forget_program(session: Session, row: CliProvider) -> None:
    """Remove a program's row and its steps."""
    session.execute(delete(CliOnboardingState).where(CliOnboardingState.provider == row.name))
    session.delete(row)
