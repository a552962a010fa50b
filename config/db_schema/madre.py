"""Tables that madre alone writes: power windows and what the reconciler did; plans, confirmations, intents, lanes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from config.db_schema.base import Base


class PowerWindow(Base):
    """A lease on a set of services; `deadline` lives here, so a restart of madre resumes every window."""

    __tablename__ = "power_windows"
    __table_args__ = (Index("ix_power_windows_state_deadline", "state", "deadline"),)

    window_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    services: Mapped[list[str]]
    mode: Mapped[str] = mapped_column(String(8))
    state: Mapped[str] = mapped_column(String(8))
    opened_by: Mapped[str] = mapped_column(String(128))
    reason: Mapped[str] = mapped_column(String(256))
    origin: Mapped[str] = mapped_column(String(8))
    ttl_sec: Mapped[float]
    created_at: Mapped[datetime] = mapped_column(index=True)
    opened_at: Mapped[datetime | None]
    deadline: Mapped[datetime]
    max_deadline: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    close_reason: Mapped[str | None] = mapped_column(Text)


class PowerEvent(Base):
    """One act of the reconciler on one service: why, what it did, how it ended."""

    __tablename__ = "power_events"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    service: Mapped[str] = mapped_column(String(32))
    act: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(256))
    outcome: Mapped[str] = mapped_column(String(16))
    elapsed_ms: Mapped[float]
    detail: Mapped[dict[str, Any]]


class SystemState(Base):
    """Small facts that must survive a restart, by key: the power policy among them."""

    __tablename__ = "system_state"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[dict[str, Any]]
    updated_at: Mapped[datetime]


class ModuleStatus(Base):
    """How the reconciler last saw each service."""

    __tablename__ = "module_status"

    service: Mapped[str] = mapped_column(String(32), primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    since: Mapped[datetime]
    restarts: Mapped[int]
    memory_mb: Mapped[float | None]
    updated_at: Mapped[datetime]


class Task(Base):
    """Something that madre was asked for, by correlation id: what a caller who left comes back to ask about."""

    __tablename__ = "tasks"
    __table_args__ = (Index("ix_tasks_user_created_at", "user", "created_at"),)

    task_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    correlation_id: Mapped[str] = mapped_column(String(64), index=True)
    user: Mapped[str] = mapped_column(String(128))
    kind: Mapped[str] = mapped_column(String(16))
    source: Mapped[str] = mapped_column(String(32))
    priority: Mapped[str] = mapped_column(String(2))
    session_id: Mapped[str | None] = mapped_column(String(64))
    text: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(16))
    mode: Mapped[str] = mapped_column(String(16))
    provider: Mapped[str | None] = mapped_column(String(128))
    degraded: Mapped[bool]
    response: Mapped[str | None] = mapped_column(Text)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    plan_id: Mapped[str | None] = mapped_column(String(32), index=True)
    spawn_id: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime] = mapped_column(index=True)
    updated_at: Mapped[datetime]


class PlanRow(Base):
    """A plan: what will be or was done. Its rows are the truth for whoever reads; DBOS keeps what resuming needs."""

    __tablename__ = "plans"
    __table_args__ = (
        Index("ix_plans_user_created_at", "user", "created_at"),
        Index("ix_plans_status_created_at", "status", "created_at"),
    )

    plan_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user: Mapped[str] = mapped_column(String(128))
    role: Mapped[str] = mapped_column(String(16))
    text: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(String(32))
    session_id: Mapped[str | None] = mapped_column(String(64), index=True)
    correlation_id: Mapped[str] = mapped_column(String(64), index=True)
    status: Mapped[str] = mapped_column(String(16))
    risk: Mapped[str] = mapped_column(String(4))
    reasons: Mapped[list[str]]
    plan_hash: Mapped[str] = mapped_column(String(64))
    observed: Mapped[dict[str, Any]]
    windows: Mapped[list[str]]
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    cancel_asked_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    confirmed_by: Mapped[str | None] = mapped_column(String(128))
    confirmed_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None] = mapped_column(index=True)


class PlanStep(Base):
    """One step of a plan: a registered action, its arguments, and what came of it."""

    __tablename__ = "plan_steps"

    plan_id: Mapped[str] = mapped_column(ForeignKey("plans.plan_id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    action: Mapped[str] = mapped_column(String(64))
    step_type: Mapped[str] = mapped_column(String(32))
    arguments: Mapped[dict[str, Any]]
    condition: Mapped[str | None] = mapped_column(String(64))
    not_before: Mapped[datetime | None]
    risk: Mapped[str] = mapped_column(String(4))
    status: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int]
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    undone_at: Mapped[datetime | None]


class ConfirmationRow(Base):
    """What a confirmation token stands for, never the token: its hash, and all that it is bound to."""

    __tablename__ = "confirmations"

    confirmation_id: Mapped[str] = mapped_column(String(48), primary_key=True)
    plan_id: Mapped[str] = mapped_column(ForeignKey("plans.plan_id", ondelete="CASCADE"), index=True)
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    plan_hash: Mapped[str] = mapped_column(String(64))
    risk: Mapped[str] = mapped_column(String(4))
    user: Mapped[str] = mapped_column(String(128))
    fingerprint: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class IntentLog(Base):
    """One intent that was read out of a sentence or a call, and how it ended (`lane_missing` among the ends)."""

    __tablename__ = "intents_log"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    user: Mapped[str] = mapped_column(String(128), index=True)
    source: Mapped[str] = mapped_column(String(32))
    session_id: Mapped[str | None] = mapped_column(String(64))
    correlation_id: Mapped[str] = mapped_column(String(64), index=True)
    text: Mapped[str] = mapped_column(Text)
    domain: Mapped[str] = mapped_column(String(32))
    action: Mapped[str | None] = mapped_column(String(64))
    target: Mapped[str | None] = mapped_column(String(256))
    parameters: Mapped[dict[str, Any]]
    confidence: Mapped[float]
    risk: Mapped[str | None] = mapped_column(String(4))
    warnings: Mapped[list[str]]
    outcome: Mapped[str] = mapped_column(String(32))
    plan_id: Mapped[str | None] = mapped_column(String(32))


class SchedulerHistory(Base):
    """One tick of autonomy: what it was given (by digest), what it thought, what it did or would have done."""

    __tablename__ = "scheduler_history"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    mode: Mapped[str] = mapped_column(String(16))
    started_by: Mapped[str] = mapped_column(String(128))
    inputs: Mapped[dict[str, Any]]
    observed: Mapped[dict[str, Any]]
    findings: Mapped[list[Any]]
    decisions: Mapped[list[Any]]
    delegated: Mapped[list[Any]]
    outcome: Mapped[str] = mapped_column(String(32))
    note: Mapped[str] = mapped_column(Text)
    elapsed_ms: Mapped[float]


class RailsLane(Base):
    """Who an intent of a domain and kind belongs to, and the rule it runs under; `*` is every kind."""

    __tablename__ = "rails_lanes"

    domain: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(32))
    rule: Mapped[str] = mapped_column(String(32))
    enabled: Mapped[bool]
    updated_at: Mapped[datetime]


class RailsEvent(Base):
    """A rail that spoke: a lane that was missing or forbade something, a rail on arguments that raised a risk."""

    __tablename__ = "rails_events"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    user: Mapped[str] = mapped_column(String(128))
    correlation_id: Mapped[str] = mapped_column(String(64), index=True)
    plan_id: Mapped[str | None] = mapped_column(String(32))
    action: Mapped[str] = mapped_column(String(64))
    lane: Mapped[str | None] = mapped_column(String(97))
    verdict: Mapped[str] = mapped_column(String(32))
    detail: Mapped[str] = mapped_column(Text)
