"""Blast radius: the same step touches more or less of the house, as things are."""

from __future__ import annotations

from typing import Any

import pytest

from config.contracts.plans import Risk
from madre.risk.blast import look_at_blast
from madre.world import KnownModel
from tests.support.drafts import deed, window, world

SIX = dict.fromkeys(("switch", "hermes", "spawner", "shub", "mcp", "operator"), "asleep")
SMALL = {"madre": "ready", "switch": "asleep", "hermes": "asleep"}
BUSY = {"madre": "ready", "switch": "ready", "hermes": "asleep"}
ONE = {"gemma": KnownModel("gemma", None, True), "smol": KnownModel("smol", None, False)}


@pytest.mark.parametrize(
    ("action", "arguments", "at", "risk"),
    [
        ("service.stop", {"service": "hermes"}, {}, Risk.LOW),
        ("service.stop", {"service": "madre"}, {}, Risk.HIGH),
        ("service.restart", {"service": "tentaculo_link"}, {}, Risk.HIGH),
        ("service.stop", {"service": "hermes"}, {"windows": (window("w", "hermes"),)}, Risk.HIGH),
        ("service.stop", {"service": "hermes"}, {"windows": (window("w", "hermes", state="closing"),)}, Risk.LOW),
        ("service.stop", {"service": "hermes"}, {"windows": (window("w", "hermes", origin="wake"),)}, Risk.LOW),
        ("service.stop", {"service": "switch"}, {"services": BUSY}, Risk.HIGH),
        ("service.stop", {"service": "switch"}, {"services": SMALL}, Risk.LOW),
        ("power.apply_policy", {"policy": "solo_madre"}, {"policy": "solo_madre", "services": BUSY}, Risk.LOW),
        ("power.apply_policy", {"policy": "solo_madre"}, {"policy": "full", "services": BUSY}, Risk.HIGH),
        (
            "power.apply_policy",
            {"policy": "solo_madre"},
            {"policy": "full", "services": BUSY, "windows": (window("w", "switch"),)},
            Risk.LOW,
        ),
        ("power.apply_policy", {"policy": "full"}, {"services": SMALL}, Risk.LOW),
        ("power.apply_policy", {"policy": "full"}, {"services": SIX}, Risk.HIGH),
        ("power.open_window", {"services": ["a", "b", "c"]}, {}, Risk.LOW),
        ("power.open_window", {"services": ["a", "b", "c", "d"]}, {}, Risk.MED),
        ("power.close_window", {"window_id": "w"}, {"windows": (window("w", "switch"),)}, Risk.LOW),
        ("power.close_window", {"window_id": "w"}, {"windows": (window("w", "switch", by="eva"),)}, Risk.MED),
        ("power.close_window", {"window_id": "v"}, {"windows": (window("w", "switch", by="eva"),)}, Risk.LOW),
        ("power.close_window", {}, {"windows": (window("w", "switch", by="eva"),)}, Risk.MED),
        ("power.close_window", {"services": ["hermes"]}, {"windows": (window("w", "switch", by="eva"),)}, Risk.LOW),
        ("power.close_window", {}, {"windows": (window("w", "switch", by="eva", origin="wake"),)}, Risk.LOW),
        ("power.extend_window", {"ttl_sec": 1}, {"windows": (window("w", "switch"),)}, Risk.LOW),
        ("power.extend_window", {"ttl_sec": 1}, {"windows": (window("w", "switch", by="eva"),)}, Risk.MED),
        ("power.hold_window", {"window_id": "w"}, {"windows": (window("w", "switch", by="eva"),)}, Risk.MED),
        ("models.delete", {"model": "gemma"}, {}, Risk.LOW),
        ("models.delete", {"model": "gemma"}, {"models": ONE}, Risk.HIGH),
        ("models.disable", {"model": "gemma"}, {"models": ONE}, Risk.HIGH),
        ("models.delete", {"model": "smol"}, {"models": ONE}, Risk.LOW),
        ("models.delete", {"model": "nobody"}, {"models": ONE}, Risk.LOW),
    ],
)
def test_how_much_a_step_would_touch(action: str, arguments: dict[str, Any], at: dict[str, Any], risk: Risk) -> None:
    found = [finding.risk for finding in look_at_blast(deed(action, at=world(**at), **arguments))]
    assert max(found, key=list(Risk).index, default=Risk.LOW) is risk


def test_many_steps_that_change_something_are_more_than_each_alone() -> None:
    assert [one.risk for one in look_at_blast(deed("models.load", model="gemma", steps=9))] == [Risk.MED]
    assert list(look_at_blast(deed("models.list", steps=9))) == []
