"""Registry and job rows, made, changed and shown on the wire."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from config.contracts.models import DownloadJob, JobError, LocalModel, TaskType
from config.db_schema.hermes import LocalModelV2, ModelDownload
from config.errors import VX11Error
from hermes.cards import Card
from hermes.meter import eta_sec
from hermes.sources import shown

ENGINE: Final = "llama.cpp"
_KEPT: Final = ("usage_seen_id", "source", "resolved", "licence")
_PRIVATE: Final = frozenset({"usage_seen_id", "modified_ns"})


@dataclass(frozen=True, slots=True)
class Registration:
    """A verified file on the shelf, about to become a row."""

    path: str
    size: int
    modified_ns: int
    sha256: str
    card: Card
    source: str | None = None
    resolved: str | None = None
    licence: str | None = None
    tags: list[str] = field(default_factory=list)
    task_type: TaskType | None = None

    @property
    def meta_info(self) -> dict[str, Any]:
        """What the file says of itself, and where it came from."""
        about = {
            "source": self.source,
            "resolved": self.resolved,
            "licence": self.licence,
            "modified_ns": self.modified_ns,
        }
        return {**self.card.meta_info, **{key: value for key, value in about.items() if value is not None}}


def new_model(name: str, of: Registration, now: datetime) -> LocalModelV2:
    """A row for a model that was not known before; enabled unless it cannot be served."""
    row = LocalModelV2(
        name=name,
        engine=ENGINE,
        enabled=of.card.compatibility == "ok",
        last_used_at=None,
        usage_count=0,
        tags=of.tags,
        created_at=now,
    )
    refresh_model(row, of, now)
    row.task_type = of.task_type or of.card.task_type
    return row


def refresh_model(row: LocalModelV2, of: Registration, now: datetime) -> None:
    """Bring a row in line with its file; what people set (tags, task type, enabled) stays."""
    before = row.meta_info or {}
    kept: dict[str, Any] = {key: before[key] for key in _KEPT if key in before}
    row.path, row.size_bytes, row.sha256 = of.path, of.size, of.sha256
    row.max_context, row.compatibility = of.card.max_context, of.card.compatibility
    row.meta_info = {**kept, **of.meta_info}
    row.updated_at = now


def model_on_wire(row: LocalModelV2) -> LocalModel:
    """A row as answers show it."""
    shown_info = {key: value for key, value in row.meta_info.items() if key not in _PRIVATE}
    if "source" in shown_info:
        shown_info["source"] = shown(shown_info["source"])
    return LocalModel(
        name=row.name,
        engine=row.engine,
        path=row.path,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        task_type=row.task_type,  # type: ignore[arg-type]  # the table holds only what the contract allows
        max_context=row.max_context,
        enabled=row.enabled,
        last_used_at=row.last_used_at,
        usage_count=row.usage_count,
        compatibility=row.compatibility,  # type: ignore[arg-type]  # likewise
        tags=row.tags,
        meta_info=shown_info,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def job_on_wire(row: ModelDownload) -> DownloadJob:
    """A job as answers and events show it."""
    live = row.finished_at is None
    return DownloadJob(
        job_id=row.job_id,
        name=row.name,
        source=shown(row.source),
        revision=row.revision,
        state=row.state,  # type: ignore[arg-type]  # the table holds only what the contract allows
        phase=row.phase,  # type: ignore[arg-type]  # likewise
        bytes_done=row.bytes_done,
        bytes_total=row.bytes_total,
        rate_bytes_sec=row.rate_bytes_sec,
        eta_sec=eta_sec(row.bytes_done, row.bytes_total, row.rate_bytes_sec) if live else None,
        requested_by=row.requested_by,
        correlation_id=row.correlation_id,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        error=None if row.error is None else JobError.model_validate(row.error),
    )


def error_on_row(error: VX11Error) -> dict[str, Any]:
    """An error as a job keeps it."""
    return JobError(
        code=error.code, title=error.title, detail=error.detail, hint=error.hint, extra=error.extra
    ).model_dump()
