"""Madre is spoken to, all of it real: the door, the grammar, durable plans, windows, a model that answers."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.support.chats import SMALL, Door, chatting_fleet
from tests.support.eventually import eventually
from tests.support.house import ADMIN_HEADERS

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    folder = tmp_path_factory.mktemp("speaking")
    async with chatting_fleet(folder, SMALL, VX11_SWITCH_CONTEXT_TOKENS="2048") as door:
        yield door


async def ask(door: Door, **body: Any) -> dict[str, Any]:
    answer = await door.call("POST", "/vx11/intent", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


async def settled(door: Door, correlation_id: str) -> dict[str, Any]:
    """The result of an intent once it is over."""

    async def look() -> dict[str, Any]:
        return (await door.call("GET", f"/vx11/result/{correlation_id}")).json()  # type: ignore[no-any-return]

    return await eventually(look, lambda seen: seen["status"] in ("DONE", "ERROR"), within_sec=60)


async def test_talk_wakes_switch_and_a_model_answers_with_the_conversation(door: Door) -> None:
    assert (await door.fleet.service("switch"))["state"] == "asleep"
    first = await ask(door, text="My name is Ana. Say hello.", payload={"session_id": "c"})
    assert (first["mode"], first["model"], first["degraded"]) == ("SWITCH", SMALL, False), first
    assert first["response"]
    second = await ask(door, text="And now say it again.", payload={"session_id": "c"})
    assert second["mode"] == "SWITCH"
    kept = (await door.call("GET", "/madre/sessions/c")).json()
    assert [turn["speaker"] for turn in kept["turns"]] == ["user", "assistant"] * 2
    assert kept["turns"][1]["text"] == first["response"]


async def test_an_order_opens_a_real_window_and_the_next_one_closes_it(door: Door) -> None:
    there = {"session_id": "d"}
    await ask(door, text="abre una ventana para spawner durante 2 minutos", correlation_id="o", metadata=there)
    opened = await settled(door, "o")
    assert (opened["status"], opened["mode"]) == ("DONE", "MADRE"), opened
    await door.fleet.comes_to("spawner", "ready")
    await ask(door, text="ciérrala", correlation_id="p", metadata=there)
    closed = await settled(door, "p")
    assert closed["actions"][0]["action"] == "power.close_window"
    assert closed["status"] == "DONE", closed
    await door.fleet.comes_to("spawner", "asleep")


async def said(socket: aiohttp.ClientWebSocketResponse, message: str) -> list[dict[str, Any]]:
    """Say something over a socket; what it tells until there is an answer and the plan that came of it is done."""
    await socket.send_json({"event_type": "message", "data": {"message": message}})
    told: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while not ({"message_received"} <= {one["type"] for one in told} and "plan.done" in events(told)):
            told.append(await socket.receive_json())
    return told


def events(told: list[dict[str, Any]]) -> list[str]:
    return [one["data"]["event"] for one in told if one["event_id"] is not None]


async def test_what_is_said_over_a_socket_is_answered_and_told_as_it_is_done(door: Door) -> None:
    address = door.fleet.url(8000) + "/madre/ws/e"
    async with aiohttp.ClientSession(headers=ADMIN_HEADERS) as session, session.ws_connect(address) as socket:
        opened = await said(socket, "abre una ventana para hermes durante 2 minutos")
        (answer,) = (one["data"] for one in opened if one["type"] == "message_received")
        assert (answer["mode"], answer["degraded"], answer["error"]) == ("MADRE", False, None), answer
        assert {one["data"]["plan_id"] for one in opened} == {answer["plan_id"]}
        assert events(opened)[0] == "plan.planned"
        await door.fleet.comes_to("hermes", "ready")
        closed = await said(socket, "ciérrala")
        (answer,) = (one["data"] for one in closed if one["type"] == "message_received")
        assert answer["actions"][0]["action"] == "power.close_window"
    kept = (await door.call("GET", "/madre/sessions/e")).json()
    assert [turn["speaker"] for turn in kept["turns"]] == ["user", "assistant"] * 2


async def test_an_order_nobody_knows_is_guessed_by_a_model_and_never_just_done(door: Door) -> None:
    """A model of this size guesses badly, or talks until it is cut off; what counts is that nothing is done of it."""
    answer = await ask(door, intent_type="exec", text="hermes wants its little nap, make it so")
    assert (answer["status"], answer["degraded"]) in {("WAITING", False), ("ERROR", False)}
    assert answer["error"] is None or answer["error"]["code"] in {"lane_missing", "invalid"}, answer
    assert "No model was asked" not in str(answer["error"])


async def test_how_autonomy_was_left_survives_the_death_of_madre(door: Door) -> None:
    started = await door.call("POST", "/madre/autonomous/start", json={"reason": "a look"})
    assert (started.status_code, started.json()["mode"]) == (200, "shadow")
    os.kill(door.fleet.pid_of("madre"), signal.SIGKILL)
    await door.fleet.ready()

    async def state() -> dict[str, Any]:
        return (await door.call("GET", "/madre/autonomous")).json()  # type: ignore[no-any-return]

    seen = await eventually(state, lambda one: bool(one.get("ticks", {}).get("items")), within_sec=60)
    assert (seen["mode"], seen["reason"], seen["ticks"]["items"][0]["mode"]) == ("shadow", "a look", "shadow")
