"""Tables that hermes alone writes: models, the downloads that bring them, and command-line AI programs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from config.db_schema.base import Base


class LocalModelV2(Base):
    """A model file on this machine; Switch reads these rows to find what it may serve."""

    __tablename__ = "local_models_v2"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    engine: Mapped[str] = mapped_column(String(32))
    path: Mapped[str] = mapped_column(Text)
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    task_type: Mapped[str] = mapped_column(String(32))
    max_context: Mapped[int]
    enabled: Mapped[bool]
    last_used_at: Mapped[datetime | None]
    usage_count: Mapped[int] = mapped_column(default=0)
    compatibility: Mapped[str] = mapped_column(String(32))
    tags: Mapped[list[str]]
    meta_info: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class ModelDownload(Base):
    """One pull: where from, how far, how it ended. `state` is a job state of the contract."""

    __tablename__ = "model_downloads"
    __table_args__ = (Index("ix_model_downloads_state", "state"),)

    job_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(128), index=True)
    source: Mapped[str] = mapped_column(Text)
    revision: Mapped[str | None] = mapped_column(String(128))
    expected_sha256: Mapped[str | None] = mapped_column(String(64))
    force: Mapped[bool] = mapped_column(default=False, server_default=false())
    state: Mapped[str] = mapped_column(String(16))
    phase: Mapped[str] = mapped_column(String(32))
    bytes_done: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_total: Mapped[int | None] = mapped_column(BigInteger)
    rate_bytes_sec: Mapped[float | None]
    requested_by: Mapped[str] = mapped_column(String(128))
    correlation_id: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(index=True)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    error: Mapped[dict[str, Any] | None]


class CliProvider(Base):
    """A command-line AI program of this machine, known from a catalogue or declared; Switch reads what may be asked.

    `argv` is the template of one question and `model_argv` what `{model_options}` in it stands for, both for
    `config.programs.call_of`; `environment` names the variables it is given beside the usual ones. `state` is found,
    probed, authenticated or ready, or `absent`; `authentication` yes, no or unknown. Only enabled `ready` ones are
    asked.
    """

    __tablename__ = "cli_providers"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    title: Mapped[str] = mapped_column(String(128))
    origin: Mapped[str] = mapped_column(String(16))
    argv: Mapped[list[str]]
    model_argv: Mapped[list[str]]
    probe: Mapped[list[str]]
    environment: Mapped[list[str]]
    task_types: Mapped[list[str]]
    models: Mapped[list[str]]
    context_tokens: Mapped[int | None]
    path: Mapped[str | None] = mapped_column(Text)
    version: Mapped[str | None] = mapped_column(String(128))
    state: Mapped[str] = mapped_column(String(16))
    authentication: Mapped[str] = mapped_column(String(16))
    enabled: Mapped[bool]
    detail: Mapped[str | None] = mapped_column(Text)
    hint: Mapped[str | None] = mapped_column(Text)
    usage_count: Mapped[int] = mapped_column(default=0)
    last_used_at: Mapped[datetime | None]
    checked_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class CliOnboardingState(Base):
    """How far a command-line program got: a row for each step (found, probed, authenticated, ready) and its outcome.

    `outcome` is ok, failed, unknown or waiting (an earlier step did not succeed).
    """

    __tablename__ = "cli_onboarding_state"

    provider: Mapped[str] = mapped_column(String(64), primary_key=True)
    step: Mapped[str] = mapped_column(String(16), primary_key=True)
    outcome: Mapped[str] = mapped_column(String(16))
    detail: Mapped[str | None] = mapped_column(Text)
    hint: Mapped[str | None] = mapped_column(Text)
    at: Mapped[datetime]
