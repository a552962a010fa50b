"""What `./vx11 power` asks of madre."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

import pytest

from scripts.cli import power
from tests.support.front_door import Gateway, door_to

WINDOW = {
    "window_id": "w1",
    "services": ["hermes", "switch"],
    "mode": "ttl",
    "state": "open",
    "opened_by": "admin",
    "reason": "",
    "created_at": "2026-11-21T00:00:00Z",
    "deadline": None,
    "ttl_remaining_sec": 60,
    "closed_at": None,
    "close_reason": None,
}


def asked(*words: str) -> tuple[str, Any, str]:
    """The path and body that a command line led to, and what it said."""
    gateway = Gateway()
    for verb in ("open", "close", "hold", "extend"):
        gateway.on("POST", f"/madre/power/window/{verb}", WINDOW)
    gateway.on("POST", "/madre/power/policy/full/apply", {"policy": "full", "active": True, "applied": True})
    parser = ArgumentParser()
    power.arguments(parser)
    with door_to(gateway) as door:
        said = power.act(parser.parse_args(words), door)
    _, path, body = gateway.asked[0]
    return path, body, said


def test_open() -> None:
    path, body, said = asked("open", "switch", "hermes", "--ttl", "60", "--reason", "demo")
    assert path == "/madre/power/window/open"
    assert (body["services"], body["ttl_sec"], body["mode"], body["reason"]) == (
        ["hermes", "switch"],
        60,
        "ttl",
        "demo",
    )
    assert said == "w1  open  hermes, switch  1 min 0 s left"


@pytest.mark.parametrize(
    ("words", "path", "body"),
    [
        (("open", "switch", "--hold"), "window/open", {"mode": "hold"}),
        (("close",), "window/close", {}),
        (("close", "w1"), "window/close", {"window_id": "w1"}),
        (("hold", "w1"), "window/hold", {"window_id": "w1", "hold": True}),
        (("hold", "w1", "--release"), "window/hold", {"hold": False}),
        (("extend", "w1", "--ttl", "30"), "window/extend", {"window_id": "w1", "ttl_sec": 30}),
    ],
)
def test_each_verb(words: tuple[str, ...], path: str, body: dict[str, Any]) -> None:
    there, sent, _ = asked(*words)
    assert there == f"/madre/power/{path}"
    assert sent.items() >= body.items()


def test_a_policy_is_applied() -> None:
    assert asked("policy", "full")[2] == "full is in force"


def test_closing_a_service_closes_every_window_that_holds_it() -> None:
    gateway = Gateway()
    other = {**WINDOW, "window_id": "w2", "services": ["hermes"]}
    state = {
        "policy": "windowed",
        "windows": [WINDOW, other],
        "window_id": "w1",
        "deadline": None,
        "ttl_remaining_sec": None,
        "active_services": [],
        "services": [],
    }
    gateway.on("GET", "/madre/power/state", state)
    gateway.on("POST", "/madre/power/window/close", {**WINDOW, "state": "closing"})
    parser = ArgumentParser()
    power.arguments(parser)
    with door_to(gateway) as door:
        assert power.act(parser.parse_args(["close", "switch"]), door) == "w1  closing  hermes, switch"
        assert power.act(parser.parse_args(["close", "shub"]), door) == "No window holds shub."
    assert [body for method, _, body in gateway.asked if method == "POST"] == [{"window_id": "w1"}]
