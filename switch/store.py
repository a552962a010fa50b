"""All SQL of Switch: it reads hermes' registry, and keeps what was asked, who answered and what it cost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from config.db_schema import CliProvider, FluzoSignal, LocalModelV2, ProviderStat, SwitchQueueV2
from config.db_schema.base import Base
from config.paging import Position
from switch.choose import ModelFile
from switch.programs import ProgramRow
from switch.rows import Bill
from switch.spooled import Record

_UNFINISHED = ("QUEUED", "RUNNING")


def enabled_models(session: Session) -> dict[str, ModelFile]:
    """Every model that may be served, by name."""
    may_run = LocalModelV2.enabled.is_(True), LocalModelV2.compatibility == "ok"
    rows = session.scalars(select(LocalModelV2).where(*may_run))
    return {row.name: _model_file(row) for row in rows}


def _model_file(row: LocalModelV2) -> ModelFile:
    return ModelFile(
        name=row.name,
        path=row.path,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        max_context=row.max_context,
        created=int(row.created_at.timestamp()),
        kv_values_per_token=row.meta_info.get("kv_values_per_token"),
        task_type=row.task_type,
    )


def ready_programs(session: Session) -> list[ProgramRow]:
    """Every command-line program that may be asked, by name."""
    may_be_asked = CliProvider.enabled.is_(True), CliProvider.state == "ready", CliProvider.path.is_not(None)
    rows = session.scalars(select(CliProvider).where(*may_be_asked).order_by(CliProvider.name))
    return [
        ProgramRow(
            name=row.name,
            path=row.path or "",
            argv=tuple(row.argv),
            model_argv=tuple(row.model_argv),
            environment=tuple(row.environment),
            task_types=frozenset(row.task_types),
            models=tuple(row.models),
        )
        for row in rows
    ]


def add(session: Session, rows: Iterable[Base], bills: Iterable[Bill]) -> None:
    """Keep rows of finished requests, and add what they cost to their providers' days."""
    session.add_all(rows)
    by_day: dict[tuple[str, str], list[Bill]] = {}
    for bill in bills:
        by_day.setdefault((bill.provider, bill.day), []).append(bill)
    for (provider, day), of_day in by_day.items():
        row = _day(session, provider, day)
        row.requests += len(of_day)
        row.failures += sum(bill.failed for bill in of_day)
        row.prompt_tokens += sum(bill.prompt_tokens or 0 for bill in of_day)
        row.completion_tokens += sum(bill.completion_tokens or 0 for bill in of_day)
        row.unknown_usage += sum(bill.completion_tokens is None for bill in of_day)
        row.cost += sum(bill.cost or 0.0 for bill in of_day)
        row.latency_ms += sum(bill.latency_ms for bill in of_day)
        row.updated_at = max(bill.at for bill in of_day)


def add_unknown(session: Session, records: Iterable[Record]) -> int:
    """Keep what finished requests left, but those whose rows are there already; how many were not."""
    new = [one for one in records if one.life_id is None or session.get(SwitchQueueV2, one.life_id) is None]
    add(session, [row for one in new for row in one.rows], [bill for one in new for bill in one.bills])
    return len(new)


def _day(session: Session, provider: str, day: str) -> ProviderStat:
    """The row of a provider's day, made if this is its first request."""
    row = session.scalar(select(ProviderStat).where(ProviderStat.provider == provider, ProviderStat.day == day))
    if row is None:
        nothing = dict.fromkeys(("requests", "failures", "prompt_tokens", "completion_tokens", "unknown_usage"), 0)
        row = ProviderStat(provider=provider, day=day, **nothing, cost=0.0, latency_ms=0.0)
        session.add(row)
    return row


def costs_of_month(session: Session, month: str) -> dict[str, dict[str, float]]:
    """What each provider cost on each day of `month` (`YYYY-MM`)."""
    costs: dict[str, dict[str, float]] = {}
    for row in session.scalars(select(ProviderStat).where(ProviderStat.day.startswith(f"{month}-"))):
        costs.setdefault(row.provider, {})[row.day] = row.cost
    return costs


def add_one(session: Session, row: Base) -> None:
    """Keep one row."""
    session.add(row)


def task(session: Session, task_id: str) -> SwitchQueueV2 | None:
    """The task of this id."""
    row = session.get(SwitchQueueV2, task_id)
    return row if row is not None and row.kind == "task" else None


def unfinished_tasks(session: Session) -> list[SwitchQueueV2]:
    """Tasks that wait, or were under way when Switch ended; the most urgent and oldest first."""
    waiting = select(SwitchQueueV2).where(SwitchQueueV2.kind == "task", SwitchQueueV2.state.in_(_UNFINISHED))
    return list(session.scalars(waiting.order_by(SwitchQueueV2.priority, SwitchQueueV2.enqueued_at)))


def count_unfinished_tasks(session: Session, user: str) -> int:
    """How many tasks of one user wait or run."""
    mine = SwitchQueueV2.user == user, SwitchQueueV2.kind == "task", SwitchQueueV2.state.in_(_UNFINISHED)
    return len(list(session.scalars(select(SwitchQueueV2.id).where(*mine))))


def change_task(session: Session, task_id: str, values: dict[str, Any]) -> bool:
    """Note how a task goes on, and whether it does: one that is over stays as it is."""
    goes_on = SwitchQueueV2.id == task_id, SwitchQueueV2.state.in_(_UNFINISHED)
    changed = session.execute(update(SwitchQueueV2).where(*goes_on).values(**values).returning(SwitchQueueV2.id))
    return changed.first() is not None


def signals_page(session: Session, limit: int, after: Position | None) -> list[FluzoSignal]:
    """Up to `limit` + 1 kept signals, newest first, after a position."""
    rows = select(FluzoSignal).order_by(FluzoSignal.at.desc(), FluzoSignal.id.desc())
    if after is not None:
        rows = rows.where(_before(after))
    return list(session.scalars(rows.limit(limit + 1)))


def _before(after: Position) -> Any:
    moment, row_id = after
    number = int(row_id) if row_id.isdigit() else 0
    return (FluzoSignal.at < moment) | ((FluzoSignal.at == moment) & (FluzoSignal.id < number))
