"""Tables that spawner alone writes: jobs, the lives they had, the tries of each life.

A job (`daughter_tasks`) is what was asked for. A daughter is one life of it: it begins with what is to be run and ends
when that succeeds, is given up or is changed into something else. An attempt is one process of a daughter.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from config.db_schema.base import Base


class DaughterTask(Base):
    """One job. `status` is the contract's; `phase` is queued, running, backoff, by_hand, subtasks or ended.

    `part` is its number among the subtasks of its parent. `tries` counts the attempts that began; `alternatives` are
    the works that retries may turn to, `alternative` how many were taken, `scale` the share of the task that the
    current life is asked for, `avoid` providers not asked again. `owner_role` is what the caller was, so that a tool
    acts with no more rights than they had. `wish` is how somebody wants the running try to end (kill, done or failed),
    `wish_because` in which words: kept here, because whoever writes the end may know of no more than the rows.
    """

    __tablename__ = "daughter_tasks"
    __table_args__ = (
        Index("ix_daughter_tasks_status", "status", "created_at"),
        Index("ix_daughter_tasks_user", "user", "created_at"),
    )

    spawn_id: Mapped[str] = mapped_column(String(16), primary_key=True)
    spawn_uuid: Mapped[str] = mapped_column(String(36), unique=True)
    name: Mapped[str] = mapped_column(String(128))
    user: Mapped[str] = mapped_column(String(128))
    owner_role: Mapped[str] = mapped_column(String(16))
    task_type: Mapped[str] = mapped_column(String(16))
    code: Mapped[str | None] = mapped_column(Text)
    intent: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(16))
    phase: Mapped[str] = mapped_column(String(16))
    parent_task_id: Mapped[str | None] = mapped_column(String(16), index=True)
    root_task_id: Mapped[str] = mapped_column(String(16), index=True)
    depth: Mapped[int]
    part: Mapped[int | None]
    ttl_seconds: Mapped[int]
    max_retries: Mapped[int]
    auto_retry: Mapped[bool]
    tries: Mapped[int]
    limits: Mapped[dict[str, Any]]
    alternatives: Mapped[list[Any]]
    alternative: Mapped[int]
    scale: Mapped[float]
    avoid: Mapped[list[str]]
    tool_allowlist: Mapped[list[str]]
    meta_info: Mapped[dict[str, Any]]
    workspace: Mapped[str | None] = mapped_column(String(64))
    network: Mapped[bool]
    dry_run: Mapped[bool]
    isolation: Mapped[str | None] = mapped_column(String(64))
    progress: Mapped[float | None]
    correlation_id: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    not_before: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None] = mapped_column(index=True)
    exit_code: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(Text)
    result: Mapped[dict[str, Any] | None]
    wish: Mapped[str | None] = mapped_column(String(16))
    wish_because: Mapped[str | None] = mapped_column(Text)


class DaughterRow(Base):
    """One life of a job. `attempt_id` is its current try, or the one that will be made next."""

    __tablename__ = "daughters"

    daughter_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    spawn_id: Mapped[str] = mapped_column(ForeignKey("daughter_tasks.spawn_id", ondelete="CASCADE"), index=True)
    generation: Mapped[int]
    predecessor_id: Mapped[str | None] = mapped_column(String(32))
    attempt_id: Mapped[str] = mapped_column(String(32))
    status: Mapped[str] = mapped_column(String(16))
    mutation: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class DaughterAttempt(Base):
    """One try. `mutation` is what it does otherwise than the one before; `kind` the verdict on how it ended;
    `changed_more` counts the changed files that `changed_files` had no room for.

    `pid` with `pid_started` (the kernel's start time) names its process beyond doubt, also after spawner has died.
    """

    __tablename__ = "daughter_attempts"
    __table_args__ = (Index("ix_daughter_attempts_spawn_id", "spawn_id", "number"),)

    attempt_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    spawn_id: Mapped[str] = mapped_column(ForeignKey("daughter_tasks.spawn_id", ondelete="CASCADE"))
    daughter_id: Mapped[str] = mapped_column(String(32), index=True)
    number: Mapped[int]
    status: Mapped[str] = mapped_column(String(16), index=True)
    mutation: Mapped[dict[str, Any] | None]
    isolation: Mapped[str] = mapped_column(String(64))
    limits: Mapped[dict[str, Any]]
    pid: Mapped[int | None]
    pid_started: Mapped[str | None] = mapped_column(String(32))
    started_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    kind: Mapped[str | None] = mapped_column(String(16))
    exit_code: Mapped[int | None]
    signal: Mapped[int | None]
    cpu_sec: Mapped[float | None]
    wall_sec: Mapped[float | None]
    max_rss_mb: Mapped[float | None]
    output_bytes: Mapped[int]
    output_truncated: Mapped[bool]
    changed_files: Mapped[list[Any] | None]
    changed_more: Mapped[int]
    detail: Mapped[str | None] = mapped_column(Text)
