"""Which services madre starts by Compose, and which declarations she refuses."""

from __future__ import annotations

from typing import Any

import pytest

from config.errors import StartFailed
from madre.compose_file import must_be_startable


def file(**declared: Any) -> dict[str, Any]:
    return {"services": {"switch": {"image": "vx11-switch", "volumes": [volume("data", "volume")], **declared}}}


def volume(source: str, kind: str = "bind") -> dict[str, str]:
    return {"type": kind, "source": source, "target": "/x"}


def test_a_declared_service_may_be_started() -> None:
    must_be_startable("switch", file())
    must_be_startable("switch", file(network_mode="bridge", cap_add=[], privileged=False, volumes=None))
    with pytest.raises(StartFailed, match="declares no service hermes"):
        must_be_startable("hermes", file())


@pytest.mark.parametrize("name", ["madre", "tentaculo_link", "miner", "", "--help", "switch; id", "switch\nhermes"])
def test_nothing_else_is_started_whatever_the_file_says(name: str) -> None:
    resolved = {"services": {name: {"image": "x"}}}
    with pytest.raises(StartFailed, match="no service that madre starts"):
        must_be_startable(name, resolved)


@pytest.mark.parametrize(
    ("declared", "named"),
    [
        ({"privileged": True}, "privileged"),
        ({"pid": "host"}, "pid: host"),
        ({"network_mode": "host"}, "network_mode: host"),
        ({"cap_add": ["SYS_ADMIN"]}, "cap_add"),
        ({"devices": ["/dev/sda"]}, "devices"),
        ({"volumes": [volume("/var/run/docker.sock")]}, "the engine's socket"),
        ({"volumes": [volume("/run/docker.sock")]}, "the engine's socket"),
    ],
)
def test_a_service_that_has_more_of_the_host_than_it_needs_is_not_started(declared: dict[str, Any], named: str) -> None:
    with pytest.raises(StartFailed, match=named):
        must_be_startable("switch", file(**declared))


def test_an_empty_file_declares_nothing() -> None:
    nothing: list[dict[str, Any]] = [{}, {"services": None}, {"services": {}}]
    for empty in nothing:
        with pytest.raises(StartFailed, match="declares no service"):
            must_be_startable("switch", empty)
