"""Which engine of this machine fits a task: the registry and the programs, judged by the pure noun `engines`."""

from __future__ import annotations

from sqlalchemy.orm import Session

from config.contracts.tools import EngineChoice, EngineQuery
from config.db_schema.hermes import CliProvider, LocalModelV2
from hermes import store
from hermes.engines import Candidate, choose
from hermes.fits import Machine, need_of
from hermes.flows.desk import Desk


class Engines:
    """Answers `get-engine`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def choose(self, query: EngineQuery) -> EngineChoice:
        """The engine for a task, explained."""
        candidates = await self._desk.house.db.reading(self._candidates)
        return choose(query, candidates)

    def _candidates(self, session: Session) -> list[Candidate]:
        machine = self._desk.machine
        models = [_model(row, machine) for row in store.all_models(session)]
        return models + [_program(row) for row in store.all_programs(session) if row.path is not None]


def _model(row: LocalModelV2, machine: Machine) -> Candidate:
    values = row.meta_info.get("kv_values_per_token")
    need = need_of(row.size_bytes, row.max_context or None, values if isinstance(values, int) else None, machine)
    obstacle = None
    if row.compatibility != "ok":
        obstacle = "its file is missing" if row.compatibility == "missing" else "it cannot be served here"
    elif not row.enabled:
        obstacle = "it is disabled"
    elif not need.fits:
        obstacle = f"it does not fit: {need.said}"
    context = min(row.max_context, machine.context_tokens) if row.max_context else None
    return Candidate(
        row.name, "local", (row.task_type,), context, need.need_mb, row.usage_count, obstacle, tuple(row.tags)
    )


def _program(row: CliProvider) -> Candidate:
    obstacle = None
    if not row.enabled:
        obstacle = f"it is not enabled (PATCH /hermes/tools/{row.name})"
    elif row.state != "ready":
        obstacle = row.detail or f"it is only {row.state}"
    return Candidate(row.name, "program", tuple(row.task_types), row.context_tokens, 0, row.usage_count, obstacle)
