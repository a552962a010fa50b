"""Tables that Switch alone writes: what was asked, who was chosen and why, what it cost, how the machine was."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from config.db_schema.base import Base


class RoutingEvent(Base):
    """One choice of provider and model for one request, with its reason."""

    __tablename__ = "routing_events"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    correlation_id: Mapped[str] = mapped_column(String(64), index=True)
    user: Mapped[str] = mapped_column(String(128))
    provider: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(128))
    score: Mapped[float | None]
    reason: Mapped[str] = mapped_column(Text)
    detail: Mapped[dict[str, Any]]


class ModelUsageStat(Base):
    """One finished request to a model, local or at an endpoint; times in milliseconds, sizes in tokens.

    Tokens are null where the answer did not say; `cost` is null where the provider has no prices.
    """

    __tablename__ = "model_usage_stats"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    provider: Mapped[str] = mapped_column(String(64), default="local", server_default="local")
    model: Mapped[str] = mapped_column(String(128), index=True)
    user: Mapped[str] = mapped_column(String(128))
    correlation_id: Mapped[str] = mapped_column(String(64), index=True)
    outcome: Mapped[str] = mapped_column(String(16))
    prompt_tokens: Mapped[int | None]
    completion_tokens: Mapped[int | None]
    ttft_ms: Mapped[float | None]
    latency_ms: Mapped[float]
    finish_reason: Mapped[str | None] = mapped_column(String(32))
    cost: Mapped[float | None]


class CliUsageStat(Base):
    """One finished request to a command-line program. Such programs do not say tokens, so bytes are kept."""

    __tablename__ = "cli_usage_stats"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    provider: Mapped[str] = mapped_column(String(64), index=True)
    model: Mapped[str | None] = mapped_column(String(128))
    user: Mapped[str] = mapped_column(String(128))
    correlation_id: Mapped[str] = mapped_column(String(64), index=True)
    outcome: Mapped[str] = mapped_column(String(16))
    prompt_bytes: Mapped[int]
    answer_bytes: Mapped[int]
    latency_ms: Mapped[float]


class SwitchQueueV2(Base):
    """The life of one request: a prompt that came in, waited, was answered or was not.

    `state` is QUEUED, RUNNING, DONE, ERROR or CANCELLED; `kind` the call it came by. Only a task keeps its `payload`
    and `result`: what people say in a chat is not stored here.
    """

    __tablename__ = "switch_queue_v2"
    __table_args__ = (Index("ix_switch_queue_v2_state", "state"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16))
    priority: Mapped[int]
    user: Mapped[str] = mapped_column(String(128), index=True)
    source: Mapped[str | None] = mapped_column(String(64))
    task_type: Mapped[str] = mapped_column(String(32))
    correlation_id: Mapped[str] = mapped_column(String(64), index=True)
    provider: Mapped[str | None] = mapped_column(String(64))
    model: Mapped[str | None] = mapped_column(String(128))
    prompt_tokens_guess: Mapped[int]
    attempts: Mapped[int]
    enqueued_at: Mapped[datetime] = mapped_column(index=True)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    payload: Mapped[dict[str, Any] | None]
    result: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]


class IaDecision(Base):
    """Which AI answered one request in the end, why, and what else was there.

    `mode` and `profile` are how the machine was; `fallback_from` names the engine that was to answer and did not.
    """

    __tablename__ = "ia_decisions"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    correlation_id: Mapped[str] = mapped_column(String(64), index=True)
    user: Mapped[str] = mapped_column(String(128))
    kind: Mapped[str] = mapped_column(String(16))
    task_type: Mapped[str] = mapped_column(String(32))
    session_id: Mapped[str | None] = mapped_column(String(128))
    mode: Mapped[str] = mapped_column(String(16))
    profile: Mapped[str] = mapped_column(String(16))
    provider: Mapped[str | None] = mapped_column(String(64))
    model: Mapped[str | None] = mapped_column(String(128))
    decision: Mapped[str] = mapped_column(Text)
    score: Mapped[float | None]
    alternatives: Mapped[list[Any]]
    fallback_from: Mapped[str | None] = mapped_column(String(192))
    outcome: Mapped[str] = mapped_column(String(16))
    latency_ms: Mapped[float]


class FluzoSignal(Base):
    """How the machine was at a moment: shares from 0 to 1, pressure in percent; null is not measured here."""

    __tablename__ = "fluzo_signals"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    cpu: Mapped[float]
    memory: Mapped[float]
    battery: Mapped[float | None]
    pressure_cpu: Mapped[float | None]
    pressure_memory: Mapped[float | None]
    load: Mapped[float]
    mode: Mapped[str] = mapped_column(String(16))
    profile: Mapped[str] = mapped_column(String(16))


class ProviderStat(Base):
    """What one provider did on one day (UTC, `YYYY-MM-DD`), and what it cost: budgets are counted from this.

    `unknown_usage` counts answers that did not say their tokens; with prices, their cost is an estimate.
    """

    __tablename__ = "provider_stats"
    __table_args__ = (UniqueConstraint("provider", "day"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    provider: Mapped[str] = mapped_column(String(64))
    day: Mapped[str] = mapped_column(String(10), index=True)
    requests: Mapped[int]
    failures: Mapped[int]
    prompt_tokens: Mapped[int] = mapped_column(BigInteger)
    completion_tokens: Mapped[int] = mapped_column(BigInteger)
    unknown_usage: Mapped[int]
    cost: Mapped[float]
    latency_ms: Mapped[float]
    updated_at: Mapped[datetime]
