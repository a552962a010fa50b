"""VX11's own calls of Switch: chats, routed prompts, tasks, engines, modes, signals, advice."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.auth import Caller, Role
from config.db_schema import AuditLog, FluzoSignal, IaDecision, ModelUsageStat, ProviderStat, SwitchQueueV2
from tests.service.switch.conftest import HI, Room, switch_in
from tests.support.clock import ManualClock
from tests.support.eventually import eventually


@pytest.fixture
async def timed(tmp_path: Path) -> AsyncIterator[tuple[Room, ManualClock]]:
    clock = ManualClock()
    async with switch_in(tmp_path, clock=clock) as room:
        yield room, clock


async def test_a_chat_without_a_model_is_answered_and_explained(room: Room) -> None:
    answer = (await room.client.post("/switch/chat", json={"messages": HI, "session_id": "s-1"})).json()
    assert (answer["reply"], answer["provider"], answer["finish_reason"]) == ("012", "local", "stop")
    assert answer["model"] in "abc"
    assert "best by score" in answer["decision"]
    assert 0 < answer["ttft_ms"] <= answer["latency_ms"]
    [decision] = await room.kept(IaDecision)
    assert (decision.session_id, decision.kind, len(decision.alternatives)) == ("s-1", "chat", 3)


async def test_a_loaded_model_is_preferred_to_loading_another(room: Room) -> None:
    await room.complete("c")
    for _ in range(3):
        assert (await room.client.post("/switch/chat", json={"messages": HI})).json()["model"] == "c"


async def test_a_chat_names_its_model_and_provider(room: Room) -> None:
    named = await room.client.post("/switch/chat", json={"messages": HI, "model": "b", "provider": "local"})
    assert (named.json()["model"], named.json()["decision"]) == ("b", "named by the caller")
    unknown = await room.client.post("/switch/chat", json={"messages": HI, "model": "z"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_model")
    nobody = await room.client.post("/switch/chat", json={"messages": HI, "provider": "z"})
    assert (nobody.status_code, nobody.json()["code"]) == (404, "not_found")
    bodies: list[dict[str, Any]] = [{}, {"messages": []}, {"messages": HI, "modle": "a"}, {"messages": HI, "model": ""}]
    for bad in bodies:
        assert (await room.client.post("/switch/chat", json=bad)).status_code == 422


async def test_a_chat_may_be_streamed_and_carry_parameters(room: Room) -> None:
    body = {"messages": HI, "model": "a", "stream": True, "metadata": {"max_tokens": 5, "mine": "x"}}
    answer = await room.client.post("/switch/chat", json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")
    assert answer.headers["x-vx11-model"] == "a"
    [request] = room.log("a", "request")
    assert request["request"]["max_tokens"] == 5
    assert "mine" not in request["request"]


async def test_what_goes_wrong_keeps_its_class(room: Room) -> None:
    room.plan("a", {"dies": "event"}, {})
    died = await room.client.post("/switch/chat", json={"messages": HI, "model": "a"})
    assert (died.status_code, died.json()["code"]) == (503, "model_failed")


async def test_a_model_that_will_not_load_is_gone_round_when_the_choice_is_open(room: Room) -> None:
    room.plan("a", {"load": "failed", "detail": "no"})
    answer = (await room.client.post("/switch/chat", json={"messages": HI})).json()
    assert answer["model"] == "b"
    assert "local/a failed (model_failed)" in answer["decision"]
    [decision] = await room.kept(IaDecision)
    assert decision.fallback_from == "local/a"


async def test_a_stream_that_waits_is_told_its_place_and_then_answered(room: Room) -> None:
    room.plan("a", {"until": "loaded"})
    async with room.streaming("a") as answer:
        assert answer.headers["x-vx11-model"] == "a"
        lines = answer.aiter_lines()
        told = await anext(lines)
        room.let("loaded")
        rest = [line async for line in lines if line and not line.startswith(":")]
    assert told.startswith(": vx11 ")
    assert json.loads(told.removeprefix(": vx11 "))["state"] == "loading"
    assert (answer.status_code, rest[-1], len(rest)) == (200, "data: [DONE]", 5)


async def test_a_load_that_fails_after_waiting_was_told_ends_the_stream_with_the_error(room: Room) -> None:
    room.plan("a", {"load": "never"})
    async with room.streaming("a") as answer:
        lines = answer.aiter_lines()
        await anext(lines)
        [start] = room.log("a", "start")
        os.kill(start["pid"], signal.SIGKILL)
        os.kill((await room.logged("a", "start", 2))[-1]["pid"], signal.SIGKILL)
        rest = [line async for line in lines if line.startswith("data:")]
    assert json.loads(rest[-1].removeprefix("data: "))["error"]["code"] == "model_failed"
    [use] = await room.kept(ModelUsageStat)
    assert use.outcome == "model_failed"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"])
async def test_a_bad_body_is_refused_before_a_model_is_loaded_for_it(room: Room, path: str) -> None:
    for bad in ({"messages": "hi", "prompt": {}}, {"messages": HI, "prompt": "x", "input": {}, "temperature": "hot"}):
        answer = await room.client.post(path, json={"model": "a", **bad})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert room.starts("a") == 0


async def test_a_routed_prompt(room: Room) -> None:
    body = {"prompt": "hi", "task_type": "summary", "source": "madre", "metadata": {"model": "b"}}
    answer = (await room.client.post("/switch/route-v5", json=body)).json()
    assert (answer["status"], answer["model"], answer["reply"]) == ("DONE", "b", "012")
    [life] = await room.kept(SwitchQueueV2)
    assert (life.id, life.kind, life.task_type) == (answer["task_queue_id"], "route", "summary")
    assert (life.source, life.state, life.payload) == ("madre", "DONE", None)
    assert life.enqueued_at <= life.started_at <= life.finished_at


async def finished(room: Room, task_id: str, **more: Any) -> dict[str, Any]:
    async def look() -> dict[str, Any]:
        return dict((await room.client.get(f"/switch/task/{task_id}", **more)).json())

    return await eventually(look, lambda task: task["status"] not in ("QUEUED", "RUNNING"))


async def test_a_task_is_kept_and_answered_in_its_turn(room: Room) -> None:
    ticket = await room.client.post("/switch/task", json={"prompt": "hi", "metadata": {"model": "a"}})
    assert (ticket.status_code, ticket.json()["status"]) == (202, "QUEUED")
    task = await finished(room, ticket.json()["task_queue_id"])
    assert (task["status"], task["reply"], task["model"], task["attempts"]) == ("DONE", "012", "a", 1)
    [use] = await room.kept(ModelUsageStat)
    assert use.user == "admin"
    assert len(room.rows(SwitchQueueV2)) == 1


async def test_a_task_that_cannot_be_answered_says_why(room: Room) -> None:
    ticket = await room.client.post("/switch/task", json={"prompt": "hi", "metadata": {"model": "z"}})
    task = await finished(room, ticket.json()["task_queue_id"])
    assert (task["status"], task["error"]["code"], task["reply"]) == ("ERROR", "unknown_model", None)


async def test_a_task_belongs_to_its_user(room: Room) -> None:
    ann: dict[str, Any] = {"headers": room.token(Role.USER)}
    bob: dict[str, Any] = {"headers": {"x-vx11-token": room.house.auth.sign(_caller("bob"))}}
    ticket = (await room.client.post("/switch/task", json={"prompt": "hi"}, **ann)).json()["task_queue_id"]
    assert (await room.client.get(f"/switch/task/{ticket}", **bob)).status_code == 404
    assert (await finished(room, ticket, **ann))["status"] == "DONE"
    assert (await room.client.get("/switch/task/ask-1", **ann)).status_code == 404


def _caller(user: str) -> Any:
    return Caller(user, Role.USER, "t")


async def test_the_same_key_is_the_same_task(room: Room) -> None:
    key = {"idempotency-key": "once"}
    tickets = [
        (await room.client.post("/switch/task", json={"prompt": "hi"}, headers=key)).json()["task_queue_id"]
        for _ in range(2)
    ]
    assert tickets[0] == tickets[1]
    assert len(room.rows(SwitchQueueV2)) == 1


async def test_tasks_outlive_switch(tmp_path: Path) -> None:
    async with switch_in(tmp_path) as room:
        room.plan("a", {"holds": "never"})
        body = {"prompt": "hi", "metadata": {"model": "a"}}
        ticket = (await room.client.post("/switch/task", json=body)).json()["task_queue_id"]
        await room.logged("a", "request")
        [row] = room.rows(SwitchQueueV2)
        assert row.state == "RUNNING"
    async with switch_in(tmp_path, again=True) as room:
        room.plan("a", {})
        task = await finished(room, ticket)
    assert (task["status"], task["reply"], task["attempts"]) == ("DONE", "012", 2)


async def test_too_many_tasks_of_one_user_are_429(room: Room) -> None:
    with room.house.db.write() as session:
        for number in range(200):
            session.add(_waiting_task(room, number))
    answer = await room.client.post("/switch/task", json={"prompt": "hi"})
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")


def _waiting_task(room: Room, number: int) -> SwitchQueueV2:
    now = room.house.clock.now()
    return SwitchQueueV2(
        id=f"task-{number}", kind="task", state="QUEUED", priority=4, user="admin", source=None, task_type="chat",
        correlation_id="", provider=None, model=None, prompt_tokens_guess=0, attempts=0, enqueued_at=now,
        started_at=None, finished_at=None, payload=None, result=None, error=None,
    )  # fmt: skip


async def test_the_context_says_what_a_prompt_would_meet(room: Room) -> None:
    seen = (await room.client.get("/switch/context")).json()
    assert seen["would_answer"] == "local/a"
    assert [score["engine"] for score in seen["scores"]] == ["local/a", "local/b", "local/c"]
    assert seen["mode"]["mode"] in ("ECO", "BALANCED", "HIGH_PERF", "CRITICAL")
    assert seen["fluzo"]["profile"] in ("low_power", "balanced", "performance")
    for name in "abc":
        room.change(name, enabled=False)

    async def look() -> dict[str, Any]:
        return dict((await room.client.get("/switch/context")).json())

    nobody = await eventually(look, lambda seen: seen["would_answer"] is None)
    assert nobody["why"] == "No enabled chat model is there."


async def test_engines_are_selected_and_judged_by_what_others_tell(timed: tuple[Room, ManualClock]) -> None:
    room, clock = timed
    body = {"query": "hi"}
    first = (await room.client.post("/switch/hermes/select_engine", json=body)).json()
    assert first["engine"] == "local/a"
    assert first["healthy_engines"] == ["local/a", "local/b", "local/c"]
    assert {score["engine"] for score in first["scores"]} == set(first["healthy_engines"])
    told = {"engine": "local/a", "success": False, "latency_ms": 900}
    health = (await room.client.post("/switch/hermes/record_result", json=told)).json()
    assert (health["failures"], health["requests"]) == (1, 1)
    assert (await room.client.post("/switch/hermes/select_engine", json=body)).json()["engine"] == "local/b"
    only = {**body, "available_engines": ["local/a", "nobody/x"]}
    assert (await room.client.post("/switch/hermes/select_engine", json=only)).json()["engine"] == "local/a"
    clock.advance(3600)
    for _ in range(3):
        await room.client.post("/switch/hermes/record_result", json={**told, "success": True})
    status = (await room.client.get("/switch/hermes/status")).json()
    [engine] = [one for one in status["engines"] if one["engine"] == "local/a"]
    assert (engine["latency_ms"], engine["breaker"], status["healthy"]) == (900, "closed", 3)
    [day] = await room.kept(ProviderStat)

    async def requests() -> int:
        return int(room.rows(ProviderStat)[0].requests)

    assert await eventually(requests, lambda count: count == 4) == 4
    assert day.provider == "local"
    unknown = {"select_engine": {"query": "x", "available_engines": ["z"]}, "record_result": {**told, "engine": "z"}}
    for path, wrong in unknown.items():
        assert (await room.client.post(f"/switch/hermes/{path}", json=wrong)).status_code == 404


async def test_modes_are_told_set_given_back_and_journalled(room: Room) -> None:
    async def control(**body: Any) -> httpx.Response:
        return await room.client.post("/switch/control", json=body)

    listed = (await control(action="list_modes")).json()
    assert [(mode["mode"], mode["load_below"], mode["time_budget_sec"]) for mode in listed["modes"]] == [
        ("ECO", 0.3, 5), ("BALANCED", 0.6, 8), ("HIGH_PERF", 0.85, 15), ("CRITICAL", None, 30),
    ]  # fmt: skip
    other = "ECO" if listed["mode"] != "ECO" else "CRITICAL"
    changed = (await control(action="set_mode", mode=other.lower())).json()
    assert (changed["mode"], changed["by_hand"]) == (other, True)
    assert (await control(action="get_mode")).json()["mode"] == other
    [event] = [event for event in room.events("switch.tension.updated") if event["by_hand"]]
    assert (event["mode"], event["previous"]) == (other, listed["mode"])
    assert "switch.set_mode" in {row.action for row in room.rows(AuditLog)}
    assert (await control(action="set_mode", mode="auto")).json()["by_hand"] is False
    for bad in ({"action": "set_mode"}, {"action": "set_mode", "mode": "TURBO"}, {"action": "dance"}):
        assert (await control(**bad)).status_code == 422


async def test_signals_are_shown_and_kept(room: Room) -> None:
    [row] = await room.kept(FluzoSignal)
    seen = (await room.client.get("/switch/fluzo")).json()
    assert seen["memory"] > 0
    optional = ("battery", "pressure_cpu", "pressure_memory")
    assert set(seen["not_measured"]) == {name for name in optional if seen[name] is None}
    page = (await room.client.get("/switch/fluzo/signals", params={"limit": 1})).json()
    assert page["items"][0]["profile"] in ("low_power", "balanced", "performance")
    assert row.load == pytest.approx(0.6 * row.cpu + 0.4 * row.memory, abs=1e-3)
    assert (await room.client.get("/switch/fluzo/signals", params={"cursor": "x"})).status_code == 422


ADVICE = {"diagnosis": "d", "severity": "warning", "probable_causes": ["c"], "suggested_actions": []}


async def test_advice_is_a_real_prompt_and_says_when_there_is_none(room: Room) -> None:
    said = {"incident_summary": "disk full", "context": {"disk": "100 %"}}
    none = (await room.client.post("/switch/advice", json=said)).json()
    assert (none["degraded"], none["advice"]) == (True, None)  # the scripted worker says `012`
    assert none["reason"]
    for name in "abc":
        room.plan(name, {"says": json.dumps(ADVICE)})
        await room.client.post(f"/switch/models/{name}/unload")
        await room.at_stage(name, "asleep")
    advised = (await room.client.post("/switch/advice", json=said)).json()
    assert (advised["degraded"], advised["advice"], advised["reason"]) == (False, ADVICE, None)
    request = room.log(advised["model"], "request")[-1]["request"]
    assert request["response_format"]["type"] == "json_schema"
    assert "disk full" in request["messages"][1]["content"]
    large = {**said, "context": {"x": "y" * 70_000}}
    assert (await room.client.post("/switch/advice", json=large)).status_code == 422


async def test_advice_without_any_model(room: Room) -> None:
    for name in "abc":
        room.change(name, enabled=False)

    async def look() -> dict[str, Any]:
        return dict((await room.client.post("/switch/advice", json={"incident_summary": "x"})).json())

    answer = await eventually(look, lambda answer: answer["provider"] is None)
    assert (answer["degraded"], answer["advice"], answer["decision"]) == (True, None, None)


async def test_a_stop_writes_what_waits(tmp_path: Path) -> None:
    async with switch_in(tmp_path) as room:
        await asyncio.gather(*(room.complete("a") for _ in range(20)))
        house = room.house
    assert len(Room(house, room.client, room.stage).rows(ModelUsageStat)) == 20


RIGHTS = [
    (Role.USER, "POST", "/switch/chat", {"messages": HI}, 200),
    (Role.USER, "POST", "/switch/route-v5", {"prompt": "x"}, 200),
    (Role.USER, "POST", "/switch/task", {"prompt": "x"}, 202),
    (Role.USER, "GET", "/switch/context", None, 200),
    (Role.USER, "GET", "/switch/providers", None, 200),
    (Role.USER, "POST", "/switch/hermes/select_engine", {"query": "x"}, 200),
    (Role.USER, "POST", "/switch/hermes/record_result", {"engine": "local/a", "success": False}, 403),
    (Role.USER, "GET", "/switch/hermes/status", None, 200),
    (Role.USER, "POST", "/switch/control", {"action": "get_mode"}, 403),
    (Role.OPERATOR, "POST", "/switch/control", {"action": "get_mode"}, 200),
    (Role.USER, "GET", "/switch/fluzo", None, 200),
    (Role.USER, "GET", "/switch/fluzo/signals", None, 200),
    (None, "POST", "/switch/chat", {"messages": HI}, 401),
    (None, "GET", "/switch/context", None, 401),
    (None, "POST", "/v1/embeddings", {}, 401),
]


async def test_rights(room: Room) -> None:
    for role, method, path, body, status in RIGHTS:
        headers = {"x-vx11-token": ""} if role is None else room.token(role)
        answer = await room.client.request(method, path, json=body, headers=headers)
        assert answer.status_code == status, (role, path, answer.text)
