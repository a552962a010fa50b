"""SQL of the facts that plans depend on; other rooms' tables are read here and never written."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.db_schema.hermes import LocalModelV2
from config.db_schema.madre import PlanRow
from config.db_schema.spawner import DaughterTask
from madre.world import KnownModel


def known_models(session: Session) -> dict[str, KnownModel]:
    """The models of hermes' registry, by name."""
    rows = session.execute(select(LocalModelV2.name, LocalModelV2.sha256, LocalModelV2.enabled))
    return {name: KnownModel(name, sha256, enabled) for name, sha256, enabled in rows}


def statuses_of_plans(session: Session, plan_ids: Collection[str], user: str | None) -> dict[str, str]:
    """The statuses of these plans of `user` (None: of anybody), by id."""
    rows = select(PlanRow.plan_id, PlanRow.status).where(PlanRow.plan_id.in_(plan_ids))
    if user is not None:
        rows = rows.where(PlanRow.user == user)
    return {row.plan_id: row.status for row in session.execute(rows)} if plan_ids else {}


def statuses_of_tasks(session: Session, spawn_ids: Collection[str], user: str | None) -> dict[str, str]:
    """The statuses of these daughter tasks of `user` (None: of anybody), by id."""
    rows = select(DaughterTask.spawn_id, DaughterTask.status).where(DaughterTask.spawn_id.in_(spawn_ids))
    if user is not None:
        rows = rows.where(DaughterTask.user == user)
    return {row.spawn_id: row.status for row in session.execute(rows)} if spawn_ids else {}
