"""All SQL of Switch: it reads hermes' registry and writes what was asked of which model."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.db_schema import LocalModelV2, ModelUsageStat, RoutingEvent
from switch.choose import ModelFile


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
    )


def add_use(session: Session, choice: RoutingEvent, use: ModelUsageStat) -> None:
    """Keep the trace of one finished request: what was chosen and what it cost."""
    session.add(choice)
    session.add(use)
