"""Tables that Switch alone writes: what was asked of which model, and what it cost."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import String, Text
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
    """One finished request to a local model; times in milliseconds, sizes in tokens."""

    __tablename__ = "model_usage_stats"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(index=True)
    model: Mapped[str] = mapped_column(String(128), index=True)
    user: Mapped[str] = mapped_column(String(128))
    correlation_id: Mapped[str] = mapped_column(String(64), index=True)
    outcome: Mapped[str] = mapped_column(String(16))
    prompt_tokens: Mapped[int | None]
    completion_tokens: Mapped[int | None]
    ttft_ms: Mapped[float | None]
    latency_ms: Mapped[float]
    finish_reason: Mapped[str | None] = mapped_column(String(32))
