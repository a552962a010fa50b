"""Which model is asked when nobody named one."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.cli.failure import CommandFailed
from scripts.cli.picking import pick_model
from tests.support.front_door import Gateway, door_to


def served(*names: str) -> dict[str, Any]:
    rest = {"stage": "asleep", "in_use": 0, "waiting": 0, "reserved_mb": 0, "memory_mb": None, "pinned": False}
    models = [{"name": name, "progress": None, "failure": None, **rest} for name in names]
    return {"budget_mb": 1, "reserved_mb": 0, "models": models}


def a_gateway(*names: str) -> Gateway:
    gateway = Gateway()
    gateway.on("GET", "/switch/models", served(*names))
    gateway.on("GET", "/hermes/models", {"items": [], "next_cursor": None})
    return gateway


def test_the_favourite_is_asked_without_waking_hermes() -> None:
    gateway = a_gateway("large", "smol")
    with door_to(gateway) as door:
        assert pick_model(door, "smol") == "smol"
    assert [path for _, path, _ in gateway.asked] == ["/switch/models"]


def test_a_favourite_that_was_deleted_is_passed_over() -> None:
    gateway = a_gateway("large")
    with door_to(gateway) as door, pytest.raises(CommandFailed, match="no model here that can chat"):
        pick_model(door, "smol")
    assert gateway.asked[-1][1] == "/hermes/models"


def test_without_a_favourite_hermes_is_asked() -> None:
    gateway = a_gateway("large")
    with door_to(gateway) as door, pytest.raises(CommandFailed):
        pick_model(door, None)
    assert [path for _, path, _ in gateway.asked] == ["/hermes/models"]
