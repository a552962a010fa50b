"""Every room that is there, in one process on real sockets: what holds only when they stand together."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from config import audit
from config.app import House
from config.db_schema import AuditLog, EventRow
from config.services import FLEET, present_services
from config.settings import PowerSettings
from tests.support.eventually import eventually
from tests.support.house import ADMIN_HEADERS, house_in
from tests.support.ports import free_port_offset
from tests.support.server import served

MESSAGE = {"role": "user", "content": "hello"}


@dataclass
class Fleet:
    """The rooms by name, and a client at the door."""

    houses: dict[str, House]
    door: httpx.AsyncClient

    async def token(self, role: str) -> dict[str, str]:
        """The headers of a fresh token."""
        made = await self.door.post("/auth/tokens", json={"user": "ana", "role": role})
        return {"x-vx11-token": made.json()["token"]}


async def stand(stack: AsyncExitStack, folder: Path, **power: Any) -> Fleet:
    """Start every room that is there; the driver only plays, because they run here already."""
    settings: dict[str, Any] = {"port_offset": free_port_offset(), "power": PowerSettings(driver="noop", **power)}
    houses = {}
    for service in present_services():
        house = houses[service.name] = house_in(folder, service.name, **settings)
        app = import_module(f"{service.module}.app").create(house)
        await stack.enter_async_context(served(app, port=house.settings.port_of(service.name)))
    url = houses["tentaculo_link"].settings.url_of("tentaculo_link")
    door = await stack.enter_async_context(httpx.AsyncClient(base_url=url, headers=ADMIN_HEADERS, timeout=20))
    return Fleet(houses, door)


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        yield await stand(stack, tmp_path)


async def test_status_tells_of_every_service_and_fakes_none(fleet: Fleet) -> None:
    status = (await fleet.door.get("/vx11/status")).json()
    states = {service["name"]: service["state"] for service in status["services"]}
    present = {service.name for service in present_services()}
    assert set(states) == set(FLEET)
    assert {name for name, state in states.items() if state == "absent"} == set(FLEET) - present
    assert (states["tentaculo_link"], states["madre"], states["switch"]) == ("ready", "ready", "asleep")
    assert (status["policy"], status["degraded"]) == ("solo_madre", False)


async def test_a_request_for_a_sleeping_service_wakes_it_and_gets_its_answer(fleet: Fleet) -> None:
    models = await fleet.door.get("/v1/models")
    assert (models.status_code, models.json()["object"]) == (200, "list")
    status = (await fleet.door.get("/vx11/status")).json()
    assert status["policy"] == "windowed"
    assert [window["services"] for window in status["windows"]] == [["switch"]]
    assert status["queue"]["waiting"] == 0


async def test_a_window_opened_at_the_door_is_madres_and_closes_there(fleet: Fleet) -> None:
    opened = await fleet.door.post("/vx11/window/open", json={"target": "hermes", "ttl_seconds": 60})
    assert opened.status_code == 201
    listed = (await fleet.door.get("/madre/power/windows")).json()["items"]
    assert [window["window_id"] for window in listed] == [opened.json()["window_id"]]
    assert (await fleet.door.get("/hermes/models")).status_code == 200
    closed = (await fleet.door.post("/vx11/window/close", json={"target": "hermes"})).json()["windows"]
    assert {window["state"] for window in closed} == {"closed"}  # the one opened, and the lease of the request
    assert opened.json()["window_id"] in {window["window_id"] for window in closed}


ERRORS: list[tuple[str, str, dict[str, Any] | None, int, str]] = [
    ("GET", "/shub/ready", None, 404, "service_absent"),
    ("GET", "/nothing/at/all", None, 404, "not_found"),
    ("GET", "/hermes/models/none", None, 404, "unknown_model"),
    ("GET", "/hermes/nothing", None, 404, "not_found"),
    ("PUT", "/madre/power/state", None, 405, "method_not_allowed"),
    ("POST", "/vx11/window/open", {"target": "nobody"}, 422, "invalid"),
    ("POST", "/madre/power/window/open", {"services": ["nobody"]}, 422, "invalid"),
    ("POST", "/vx11/window/open", {}, 422, "invalid"),
    ("POST", "/madre/power/window/close", {"window_id": "win-none"}, 404, "not_found"),
    ("POST", "/v1/chat/completions", {"model": "none", "messages": [MESSAGE]}, 404, "unknown_model"),
]


async def test_an_error_keeps_its_meaning_over_every_hop(fleet: Fleet) -> None:
    for method, path, body, status, code in ERRORS:
        answer = await fleet.door.request(method, path, json=body, headers={"x-correlation-id": "c-7"})
        problem = answer.json()
        assert (answer.status_code, problem["code"], problem["status"]) == (status, code, status), path
        assert answer.headers["content-type"] == "application/problem+json", path
        assert answer.headers.get_list("x-correlation-id") == [problem["correlation_id"]] == ["c-7"], path


async def test_a_role_is_too_low_behind_the_door_as_at_it(fleet: Fleet) -> None:
    user = await fleet.token("user")
    for path in ("/vx11/window/open", "/madre/power/window/open"):
        answer = await fleet.door.post(path, json={"services": ["switch"]}, headers=user)
        assert (answer.status_code, answer.json()["code"]) == (403, "role_required"), path
    wake = await fleet.door.post("/madre/power/wake", json={"service": "switch"})
    assert (wake.status_code, wake.json()["code"]) == (403, "role_required")


async def test_an_act_is_traced_to_its_caller_and_its_request(fleet: Fleet) -> None:
    operator = await fleet.token("operator")
    headers = {**operator, "x-correlation-id": "c-8"}
    await fleet.door.post("/vx11/window/open", json={"target": "hermes", "reason": "look"}, headers=headers)
    with fleet.houses["hermes"].db.read() as session:
        acts = session.scalars(select(AuditLog).where(AuditLog.correlation_id == "c-8")).all()
        told = session.scalars(select(EventRow.type).where(EventRow.correlation_id == "c-8")).all()
        assert audit.verify(session).is_intact
    assert {(act.user, act.role, act.service) for act in acts} == {("ana", "operator", "madre")}
    assert any(type_.startswith("power.window.") for type_ in told)


async def test_the_same_key_opens_one_window_through_the_door(fleet: Fleet) -> None:
    wish, keyed = {"services": ["hermes"], "reason": "once"}, {"idempotency-key": "k-1"}
    answers = [await fleet.door.post("/madre/power/window/open", json=wish, headers=keyed) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()


async def test_events_of_one_service_are_heard_at_the_door(fleet: Fleet) -> None:
    async def first_window_event() -> dict[str, Any]:
        async with fleet.door.stream("GET", "/vx11/events", params={"types": "power.window."}) as stream:
            listening.set()
            async for line in stream.aiter_lines():
                if line.startswith("data:"):
                    return dict(json.loads(line.removeprefix("data:")))
        raise AssertionError("the stream ended")

    listening = asyncio.Event()
    hearing = asyncio.create_task(first_window_event())
    async with asyncio.timeout(10):
        await listening.wait()
        await fleet.door.post("/vx11/window/open", json={"target": "switch"})
        heard = await hearing
    assert (heard["source"], heard["type"].startswith("power.window.")) == ("madre", True)


async def test_where_waking_is_off_the_way_to_open_a_window_is_told(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        fleet = await stand(stack, tmp_path, wake="manual")
        refused = await fleet.door.get("/hermes/models")
        assert (refused.status_code, refused.json()["code"]) == (403, "off_by_policy")
        assert "window/open" in refused.json()["hint"]
        await fleet.door.post("/vx11/window/open", json={"target": "hermes"})
        assert (await fleet.door.get("/hermes/models")).status_code == 200


async def test_without_madre_the_door_says_so_and_invents_nothing(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        house = house_in(tmp_path, "tentaculo_link", port_offset=free_port_offset())
        app = import_module("tentaculo_link.app").create(house)
        url = await stack.enter_async_context(served(app))
        door = await stack.enter_async_context(httpx.AsyncClient(base_url=url, headers=ADMIN_HEADERS, timeout=20))
        status = (await door.get("/vx11/status")).json()
        assert (status["degraded"], status["policy"], status["windows"]) == (True, None, [])
        assert any("madre" in note for note in status["notes"])
        refused = await door.get("/hermes/models")
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")


async def test_every_service_answers_its_vital_signs_and_describes_itself(fleet: Fleet) -> None:
    for name, house in fleet.houses.items():
        async with httpx.AsyncClient(base_url=house.settings.url_of(name)) as client:
            assert (await client.get("/health")).json()["module"] == name
            assert (await client.get("/ready")).status_code == 200
            described = (await client.get("/openapi.json")).json()
            assert described["info"]["title"] == f"VX11 {name}"
            summaries = [call.get("summary") for path in described["paths"].values() for call in path.values()]
            assert all(summaries)


async def test_a_task_that_is_spawned_at_the_door_runs_apart_and_its_result_is_told_there(fleet: Fleet) -> None:
    user, other = await fleet.token("user"), {"x-vx11-token": "vx11_nobody"}
    wish = {"task_type": "python", "code": "print(6 * 7)", "correlation_id": "c-9", "ttl_seconds": 60}
    taken = await fleet.door.post("/vx11/spawn", json=wish, headers=user)
    assert (taken.status_code, taken.json()["correlation_id"]) == (202, "c-9")
    path = f"/vx11/result/{taken.json()['spawn_id']}"

    async def result() -> dict[str, Any]:
        return dict((await fleet.door.get(path, headers=user)).json())

    told = await eventually(result, lambda answer: answer["status"] in ("DONE", "ERROR"), within_sec=60)
    assert (told["status"], told["mode"], told["response"]) == ("DONE", "SPAWNER", "42\n"), told
    assert told["result"]["attempts"][0]["isolation"] == told["provider"]
    assert (await fleet.door.get(path, headers=other)).status_code == 403
    listed = (await fleet.door.get("/spawner/jobs", headers=user)).json()["items"]
    assert [job["user"] for job in listed] == ["ana"]
