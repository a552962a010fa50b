"""Tables that madre alone writes: power windows and what the reconciler did."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, Text
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
