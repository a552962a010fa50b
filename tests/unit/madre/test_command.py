"""One action named outright becomes the intent that a sentence would have been read as."""

from __future__ import annotations

from typing import Any

import pytest

from config.contracts.plans import Control, Risk
from config.errors import Invalid
from madre.actions import ACTIONS
from madre.command import intent_of


@pytest.mark.parametrize(
    ("body", "action", "parameters"),
    [
        ({"action": "power.state"}, "power.state", {}),
        ({"target": "power", "action": "state"}, "power.state", {}),
        ({"target": "gemma", "action": "models.delete"}, "models.delete", {"model": "gemma"}),
        ({"action": "models.delete", "params": {"model": "gemma"}}, "models.delete", {"model": "gemma"}),
        ({"target": "models", "action": "delete", "params": {"model": "x"}}, "models.delete", {"model": "x"}),
        (
            {"target": "switch", "action": "power.open_window", "params": {"ttl_sec": 60}},
            "power.open_window",
            {"ttl_sec": 60, "services": ["switch"]},
        ),
        ({"target": "w-1", "action": "power.close_window"}, "power.close_window", {"window_id": "w-1"}),
        ({"target": "switch", "action": "power.close_window"}, "power.close_window", {"services": ["switch"]}),
        (
            {"target": "switch", "action": "power.extend_window", "params": {"ttl_sec": 60}},
            "power.extend_window",
            {"ttl_sec": 60, "services": ["switch"]},
        ),
        ({"target": "hermes", "action": "power.hold_window"}, "power.hold_window", {"services": ["hermes"]}),
        ({"target": "hermes", "action": "service.stop"}, "service.stop", {"service": "hermes"}),
        ({"target": "hermes", "action": "models.delete"}, "models.delete", {"model": "hermes"}),
        ({"target": "full", "action": "power.apply_policy"}, "power.apply_policy", {"policy": "full"}),
    ],
)
def test_what_a_command_means(body: dict[str, Any], action: str, parameters: dict[str, Any]) -> None:
    intent = intent_of(Control(**body), ACTIONS)
    assert (intent.action, intent.parameters, intent.confidence, intent.risk) == (action, parameters, 1.0, Risk.LOW)


def test_an_action_nobody_knows_is_an_intent_that_leads_nowhere() -> None:
    intent = intent_of(Control(action="house.burn_down", target="now", params={"x": 1}), ACTIONS)
    assert (intent.action, intent.target, intent.parameters, intent.risk) == (
        "house.burn_down",
        "now",
        {"x": 1},
        Risk.MED,
    )


@pytest.mark.parametrize(
    ("action", "params"),
    [
        ("power.state", {}),
        ("power.close_window", {"services": ["hermes"]}),
        ("service.stop", {"service": "hermes"}),
        ("models.load", {"model": "gemma"}),
        ("hermes.scan", {}),
        ("system.maintenance", {}),
    ],
)
def test_a_target_where_there_is_nothing_to_aim_at_is_refused(action: str, params: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="nothing left that 'switch' could be"):
        intent_of(Control(target="switch", action=action, params=params), ACTIONS)
