"""Which rows are old enough to go. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from config.settings import RetentionSettings

# The time column of each table that has a term; `settings.retention` holds the terms.
AGE_COLUMN = {
    "audit_logs": "at",
    "cli_usage_stats": "at",
    "events": "at",
    "fluzo_signals": "at",
    "ia_decisions": "at",
    "model_usage_stats": "at",
    "power_events": "at",
    "provider_stats": "updated_at",
    "routing_events": "at",
    "switch_queue_v2": "enqueued_at",
}


def cutoffs(terms: RetentionSettings, now: datetime) -> dict[str, datetime]:
    """For each table, the moment before which its rows may go."""
    return {table: now - timedelta(days=getattr(terms, f"{table}_days")) for table in AGE_COLUMN}
