"""The table of the house is what CONTRACT section 2 promises."""

from __future__ import annotations

import pytest

from config import db_schema
from config.db_schema import Base
from config.services import FLEET
from tests.support.tree import ROOMS, modules

CONTRACT = {
    "tentaculo_link": (8000, False),
    "madre": (8001, False),
    "switch": (8002, True),
    "hermes": (8003, True),
    "hormiguero": (8004, True),
    "manifestator": (8005, True),
    "mcp": (8006, True),
    "shub": (8007, True),
    "spawner": (8008, True),
    "operator": (8011, True),
}
# CONTRACT section 11; the kernel's tables are written by all, through `config`.
OWNERS = {
    "madre": "tasks plans plan_steps confirmations intents_log power_windows power_events scheduler_history "
    "system_state module_status rails_lanes rails_events",
    "switch": "switch_queue_v2 routing_events ia_decisions model_usage_stats cli_usage_stats fluzo_signals "
    "provider_stats",
    "hermes": "local_models_v2 model_downloads cli_providers cli_onboarding_state",
    "spawner": "daughter_tasks daughters daughter_attempts",
    "operator": "operator_session operator_message operator_tool_call operator_browser_task "
    "operator_switch_adjustment context_7_sessions",
    "kernel": "users api_tokens audit_logs forensic_ledger events idempotency_keys",
}


@pytest.mark.parametrize("name", CONTRACT)
def test_port_and_sleep_are_as_promised(name: str) -> None:
    assert (FLEET[name].port, FLEET[name].sleeps) == CONTRACT[name]


def test_there_are_no_others() -> None:
    assert set(FLEET) == set(CONTRACT)
    assert all(service.memory_mb > 0 and service.duty for service in FLEET.values())


def test_every_table_stands_with_the_owner_the_contract_names() -> None:
    for mapper in Base.registry.mappers:
        owner = mapper.class_.__module__.rsplit(".", 1)[1]
        assert mapper.local_table.name in OWNERS[owner].split(), f"{mapper.local_table.name} of {owner}"  # type: ignore[attr-defined]


def test_the_schema_offers_every_table() -> None:
    offered = {getattr(db_schema, name) for name in db_schema.__all__}
    assert {mapper.class_ for mapper in Base.registry.mappers} <= offered


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_writes_no_table_of_another(room: str) -> None:
    """It may read them; what it adds, changes or deletes is its own."""
    foreign = {
        mapper.class_.__name__
        for mapper in Base.registry.mappers
        if mapper.class_.__module__.rsplit(".", 1)[1] not in (room, "kernel")
    }
    for module in modules(room):
        for name in foreign:
            for verb in ("insert", "update", "delete", "upsert"):
                assert f"{verb}({name}" not in module.text, module.name
            assert f"session.add({name}(" not in module.text, module.name
