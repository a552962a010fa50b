"""Which rows are old enough to go. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from config.settings import RetentionSettings

# The time column of each table that has a term; `settings.retention` holds the terms. A row without a time is kept: a
# plan or a job that is not over has none, and takes what hangs on it along when it goes.
AGE_COLUMN = {
    "audit_logs": "at",
    "cli_usage_stats": "at",
    "daughter_tasks": "finished_at",
    "events": "at",
    "fluzo_signals": "at",
    "ia_decisions": "at",
    "intents_log": "at",
    "model_usage_stats": "at",
    "plans": "finished_at",
    "power_events": "at",
    "provider_stats": "updated_at",
    "rails_events": "at",
    "routing_events": "at",
    "scheduler_history": "at",
    "switch_queue_v2": "enqueued_at",
    "tasks": "updated_at",
}

# The records that a busy fleet writes by itself: on a small machine they need not be kept for a month.
LOGS = frozenset(
    {
        "cli_usage_stats",
        "daughter_tasks",
        "events",
        "fluzo_signals",
        "ia_decisions",
        "intents_log",
        "power_events",
        "rails_events",
        "routing_events",
        "scheduler_history",
        "switch_queue_v2",
        "tasks",
    }
)
_LOW_POWER_DAYS = 7


def days(terms: RetentionSettings, table: str) -> int:
    """How many days the rows of `table` are kept; a term that somebody set counts whatever the profile says."""
    name = f"{table}_days"
    if terms.profile == "low_power" and table in LOGS and name not in terms.model_fields_set:
        return _LOW_POWER_DAYS
    return int(getattr(terms, name))


def cutoffs(terms: RetentionSettings, now: datetime) -> dict[str, datetime]:
    """For each table, the moment before which its rows may go."""
    return {table: now - timedelta(days=days(terms, table)) for table in AGE_COLUMN}
