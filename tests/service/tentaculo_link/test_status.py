"""The fleet's status: what madre reports, and what is said when she cannot be asked."""

from __future__ import annotations

from pathlib import Path

from tentaculo_link.app import create
from tests.service.tentaculo_link.conftest import World
from tests.support.house import client_of, house_in


async def test_status_shows_every_service_as_it_is(world: World) -> None:
    status = (await world.client.get("/vx11/status")).json()
    by_name = {service["name"]: service for service in status["services"]}
    assert (status["policy"], status["degraded"]) == ("solo_madre", False)
    assert (by_name["switch"]["state"], by_name["switch"]["memory_mb"]) == ("ready", 61.5)
    assert by_name["switch"]["figures"]["usage"] is None
    assert by_name["switch"]["figures"]["traffic"] == {
        "over_sec": 60,
        "requests": 9,
        "errors": 1,
        "p50_ms": 2.5,
        "p99_ms": 80,
    }
    assert by_name["shub"]["figures"] == {"usage": None, "traffic": None}
    assert status["queue"] == {"in_use": 1, "waiting": 2, "by_model": {"m": 2}}
    assert len(by_name) == 10
    assert by_name["shub"]["state"] == "absent"


async def test_without_madre_the_status_says_so_instead_of_guessing(tmp_path: Path) -> None:
    async with client_of(create(house_in(tmp_path, "tentaculo_link", port_offset=45_000))) as client:
        status = (await client.get("/vx11/status")).json()
        assert (status["degraded"], status["policy"]) == (True, None)
        assert status["notes"][0].startswith("madre: ")
        assert {service["memory_mb"] for service in status["services"]} == {None}


async def test_a_window_wish_names_target_or_services(world: World) -> None:
    for wish in ({}, {"target": "switch", "services": ["hermes"]}, {"target": "switch", "ttl_seconds": 0}):
        answer = await world.client.post("/vx11/window/open", json=wish)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
