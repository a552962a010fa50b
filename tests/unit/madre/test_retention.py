"""How long rows are kept: the contract's terms, a small machine's, and what somebody set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from config.db_schema import Base
from config.settings import RetentionSettings
from madre.retention import AGE_COLUMN, LOGS, cutoffs, days

NOW = datetime(2026, 11, 21, tzinfo=UTC)
PROMISED = {
    "audit_logs": 90,
    "cli_usage_stats": 30,
    "events": 30,
    "ia_decisions": 30,
    "intents_log": 30,
    "model_usage_stats": 90,
    "routing_events": 30,
    "scheduler_history": 30,
}


@pytest.mark.parametrize("table", PROMISED)
def test_the_terms_of_the_contract(table: str) -> None:
    assert cutoffs(RetentionSettings(), NOW)[table] == NOW - timedelta(days=PROMISED[table])


def test_a_low_power_machine_keeps_logs_for_a_week_and_the_audit_trail_as_long_as_any() -> None:
    terms = RetentionSettings(profile="low_power")
    assert {days(terms, table) for table in LOGS} == {7}
    assert {table: days(terms, table) for table in sorted(AGE_COLUMN.keys() - LOGS)} == {
        "audit_logs": 90,
        "model_usage_stats": 90,
        "plans": 90,
        "provider_stats": 400,
    }


def test_a_term_that_was_set_counts_whatever_the_profile() -> None:
    terms = RetentionSettings(profile="low_power", events_days=12)
    assert (days(terms, "events"), days(terms, "routing_events")) == (12, 7)


def test_every_table_with_a_term_has_its_time_column_and_its_setting() -> None:
    for table, column in AGE_COLUMN.items():
        assert column in Base.metadata.tables[table].c
        assert f"{table}_days" in RetentionSettings.model_fields
    assert AGE_COLUMN.keys() >= LOGS
    assert {f"{table}_days" for table in AGE_COLUMN} | {"profile"} == RetentionSettings.model_fields.keys()
