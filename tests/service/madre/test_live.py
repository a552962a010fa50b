"""The WebSocket of a conversation: one's own plans as they go on, and what is said to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from config.app import House
from config.auth import Caller, Role, new_token, sha256_of
from config.contracts.plans import Status
from config.db_schema import ApiToken, PlanRow, Task
from madre.app import create
from madre.plan import Plan
from tests.support.clock import ManualClock
from tests.support.eventually import eventually
from tests.support.house import house_in
from tests.support.plans import keep, running_plan, with_step
from tests.support.server import served
from tests.support.speech import SpeakingDriver

NOTICE = ("comm.notify", {"message": "hello"})
ANA = Caller("ana", Role.OPERATOR, "t-1")
BEA = Caller("bea", Role.OPERATOR, "t-2")


@dataclass
class World:
    """Madre on a port."""

    house: House
    app: FastAPI
    url: str
    http: aiohttp.ClientSession
    driver: SpeakingDriver

    def socket(
        self, session_id: str, caller: Caller = ANA, query: str = ""
    ) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
        """A socket of `caller`, as a service that passes them on opens it."""
        headers = {"x-vx11-token": self.house.auth.sign(caller)}
        return self.http.ws_connect(f"{self.url}/madre/ws/{session_id}{query}", headers=headers)

    async def speakers(self, session_id: str) -> list[str]:
        """Who said something in ana's conversation."""
        headers = {"x-vx11-token": self.house.auth.sign(ANA)}
        async with self.http.get(f"{self.url}/madre/sessions/{session_id}", headers=headers) as answer:
            return [turn["speaker"] for turn in (await answer.json()).get("turns", [])]

    async def heard(self) -> None:
        """Wait until a model was asked."""

        async def look() -> list[Any]:
            return self.driver.heard

        await eventually(look, bool)

    async def start(self, plan: Plan) -> None:
        """Have a plan run."""
        await asyncio.to_thread(keep, self.house.db, plan)
        await self.app.state.runner.start(plan.plan_id)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    clock = ManualClock()
    driver = SpeakingDriver(clock)
    house = house_in(tmp_path, "madre", clock=clock, transport=driver.transport())
    app = create(house, driver)
    async with served(app) as url, aiohttp.ClientSession() as http:
        yield World(house, app, url, http, driver)


async def told(socket: aiohttp.ClientWebSocketResponse, until: str) -> list[dict[str, Any]]:
    """What the socket says, up to the event `until`."""
    heard: list[dict[str, Any]] = []
    async with asyncio.timeout(20):
        while not heard or heard[-1]["data"].get("event") != until:
            heard.append(await socket.receive_json())
    return heard


async def test_a_plan_is_told_as_it_goes_on_with_what_came_of_its_steps(world: World) -> None:
    plan = running_plan(NOTICE, ("power.state", {}), session_id="room")
    async with world.socket("room") as socket:
        await world.start(plan)
        heard = await told(socket, "plan.done")
    assert [(message["type"], message["data"]["event"]) for message in heard] == [
        ("tool_result_received", "plan.step.done"),
        ("tool_call_requested", "plan.step.started"),
        ("tool_result_received", "plan.step.done"),
        ("plan_updated", "plan.done"),
    ]
    assert {message["session_id"] for message in heard} == {"room"}
    assert heard[0]["data"]["result"] == {"told": "hello"}
    assert heard[1]["data"]["arguments"] == {}
    assert heard[3]["data"]["status"] == "DONE"


async def test_who_was_away_goes_on_where_they_stopped(world: World) -> None:
    plan = running_plan(NOTICE, NOTICE, session_id="room")
    async with world.socket("room") as socket:
        await world.start(plan)
        first = (await told(socket, "plan.done"))[0]
    async with world.socket("room", query=f"?after={first['event_id']}") as socket:
        heard = await told(socket, "plan.done")
    assert [message["data"]["event"] for message in heard] == ["plan.step.done", "plan.done"]


async def test_one_plan_can_be_followed_by_its_name(world: World) -> None:
    plan, other = running_plan(NOTICE), running_plan(NOTICE, NOTICE)
    async with world.socket(plan.plan_id) as socket:
        await world.start(other)
        await world.start(plan)
        assert {message["data"]["plan_id"] for message in await told(socket, "plan.done")} == {plan.plan_id}


async def test_nobody_is_told_of_another_users_plans(world: World) -> None:
    others, own = running_plan(NOTICE, session_id="room"), running_plan(NOTICE, session_id="room", user="bea")
    async with world.socket("room", BEA) as socket:
        await world.start(others)
        await world.start(own)
        assert {message["data"]["plan_id"] for message in await told(socket, "plan.done")} == {own.plan_id}


async def test_a_plan_is_cancelled_over_the_socket(world: World) -> None:
    waiting = running_plan(NOTICE, session_id="room")
    waiting = with_step(waiting, 1, not_before=world.house.clock.now().replace(year=2030))
    async with world.socket("room") as socket:
        await world.start(waiting)
        await told(socket, "plan.step.waiting")
        await socket.send_json({"event_type": "cancel", "data": {"plan_id": waiting.plan_id}})
        heard = await told(socket, "plan.cancelled")
    assert heard[-1]["data"]["status"] == Status.CANCELLED.value


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("no json", "invalid"),
        ('{"event_type": "dance"}', "invalid"),
        ('{"event_type": "confirm", "data": {"plan_id": "plan-0"}}', "invalid"),
        ('{"event_type": "cancel", "data": {"plan_id": "plan-0"}}', "not_found"),
        ('{"event_type": "message", "data": {"message": ""}}', "invalid"),
    ],
)
async def test_what_cannot_be_done_is_said_and_the_socket_stays(world: World, said: str, code: str) -> None:
    async with world.socket("room") as socket:
        for _ in range(2):
            await socket.send_str(said)
            answer = await socket.receive_json(timeout=20)
            assert (answer["type"], answer["data"]["code"]) == ("error_reported", code)


async def test_a_binary_frame_is_said_to_be_none_and_the_socket_stays(world: World) -> None:
    async with world.socket("room") as socket:
        for _ in range(2):
            await socket.send_bytes(b'{"event_type": "cancel"}')
            answer = await socket.receive_json(timeout=20)
            assert (answer["type"], answer["data"]["code"]) == ("error_reported", "bad_request")


async def test_a_turn_outlives_its_socket(world: World) -> None:
    world.driver.silence = asyncio.Event()
    async with world.socket("room") as socket:
        await socket.send_json({"event_type": "message", "data": {"message": "hello"}})
        await world.heard()
    await world.start(running_plan(NOTICE, session_id="room"))  # madre has something to tell a client that has gone
    world.driver.silence.set()
    await eventually(lambda: world.speakers("room"), lambda said: said == ["user", "assistant"])
    with world.house.db.read() as session:
        (row,) = session.scalars(select(Task))
        assert (row.status, row.response) == ("DONE", "Hello.")


async def test_a_socket_goes_on_listening_while_an_answer_is_under_way(world: World) -> None:
    world.driver.silence = asyncio.Event()
    waiting = running_plan(NOTICE, session_id="elsewhere")
    waiting = with_step(waiting, 1, not_before=world.house.clock.now().replace(year=2030))
    await world.start(waiting)
    async with world.socket("room") as socket:
        await socket.send_json({"event_type": "message", "data": {"message": "hello"}})
        await world.heard()
        await socket.send_json({"event_type": "cancel", "data": {"plan_id": waiting.plan_id}})
        assert (await socket.receive_json(timeout=20))["type"] == "status_changed"
        world.driver.silence.set()
        answer = await socket.receive_json(timeout=20)
        assert (answer["type"], answer["data"]["response"]) == ("message_received", "Hello.")


async def test_who_says_too_much_at_once_is_told_so_and_stays(world: World) -> None:
    world.driver.silence = asyncio.Event()
    most = world.house.settings.madre.parallel_per_user
    async with world.socket("room") as socket:
        for _ in range(most + 1):
            await socket.send_json({"event_type": "message", "data": {"message": "hello"}})
        refused = await socket.receive_json(timeout=20)
        assert (refused["type"], refused["data"]["code"]) == ("error_reported", "rate_limited")
        world.driver.silence.set()
        assert {(await socket.receive_json(timeout=20))["type"] for _ in range(most)} == {"message_received"}


async def test_an_event_outlives_its_plan(world: World) -> None:
    plan = running_plan(NOTICE, session_id="room")
    async with world.socket("room") as socket:
        await world.start(plan)
        first = (await told(socket, "plan.done"))[0]
    with world.house.db.write() as session:
        session.delete(session.get_one(PlanRow, plan.plan_id))
    async with world.socket("room", query=f"?after={first['event_id'] - 1}") as socket:
        again = (await told(socket, "plan.done"))[0]
    assert again["data"]["event"] == "plan.step.done"
    assert again["data"] == {key: value for key, value in first["data"].items() if key != "result"}


async def test_a_socket_ends_with_its_token(world: World) -> None:
    token = new_token()
    with world.house.db.write() as session:
        given = {"name": "laptop", "user": "ana", "role": "user", "expires_at": None, "replaced_by": None}
        created = {"created_at": world.house.clock.now(), "revoked_at": None}
        session.add(ApiToken(token_id="tok-1", token_sha256=sha256_of(token), **given, **created))
    async with world.http.ws_connect(f"{world.url}/madre/ws/room", headers={"x-vx11-token": token}) as socket:
        await socket.send_json({"event_type": "message", "data": {"message": "hello"}})
        assert (await socket.receive_json(timeout=20))["type"] == "message_received"
        with world.house.db.write() as session:
            session.get_one(ApiToken, "tok-1").revoked_at = world.house.clock.now()
        message = await socket.receive(timeout=20)
        assert (message.type, socket.close_code) == (aiohttp.WSMsgType.CLOSE, 1008)


async def test_another_users_plan_is_not_there(world: World) -> None:
    plan = running_plan(NOTICE, user="bea")
    await asyncio.to_thread(keep, world.house.db, plan)
    async with world.socket("room", Caller("ana", Role.USER, "t-1")) as socket:
        await socket.send_json({"event_type": "cancel", "data": {"plan_id": plan.plan_id}})
        assert (await socket.receive_json(timeout=20))["data"]["code"] == "not_found"


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("vx11_wrong", 403)])
async def test_nobody_unknown_comes_in(world: World, token: str | None, status: int) -> None:
    headers = {} if token is None else {"x-vx11-token": token}
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await world.http.ws_connect(f"{world.url}/madre/ws/room", headers=headers)
    assert refused.value.status == status


async def test_an_after_that_is_no_event_is_refused(world: World) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with world.socket("room", query="?after=soon"):
            pass
    assert refused.value.status == 400
