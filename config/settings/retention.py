"""Settings of retention: a term for each table that has one."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings

from config.settings.group import Count, group


class RetentionSettings(BaseSettings):
    """How many days rows are kept, table by table; maintenance deletes older ones."""

    model_config = group("VX11_RETENTION_")

    profile: Literal["standard", "low_power"] = Field(
        default="standard",
        description="`low_power` keeps what is written again and again (30 days or less) for 7 days, unless a table's "
        "own term is set.",
    )

    audit_logs_days: Count = Field(default=90, description="The audit trail.")
    cli_usage_stats_days: Count = Field(default=30, description="What command-line programs were used for.")
    daughter_tasks_days: Count = Field(default=30, description="Jobs of spawner that have ended, with their tries.")
    events_days: Count = Field(default=30, description="The event journal.")
    fluzo_signals_days: Count = Field(default=14, description="How the machine was, minute by minute.")
    ia_decisions_days: Count = Field(default=30, description="Which AI answered, and what else was there.")
    intents_log_days: Count = Field(default=30, description="What was read out of sentences.")
    model_usage_stats_days: Count = Field(default=90, description="What models were used for.")
    plans_days: Count = Field(default=90, description="Plans that are over, with their steps and confirmations.")
    power_events_days: Count = Field(default=30, description="What power did.")
    provider_stats_days: Count = Field(default=400, ge=31, description="Days of providers; budgets need a month.")
    rails_events_days: Count = Field(default=30, description="What the rails refused or raised.")
    routing_events_days: Count = Field(default=30, description="Why a model or provider was chosen.")
    scheduler_history_days: Count = Field(default=30, description="Autonomy, tick by tick.")
    switch_queue_v2_days: Count = Field(default=30, description="The lives of requests, and what tasks answered.")
    tasks_days: Count = Field(default=30, description="What madre was asked, and what came of it.")
