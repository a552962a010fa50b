"""What comes out of Switch for what goes in: answers, errors, rows, rights."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Any

import httpx
import pytest

from config.auth import Role
from config.db_schema import ModelUsageStat, RoutingEvent
from tests.service.switch.conftest import Room, asking, gone
from tests.support.eventually import eventually


async def test_an_answer_passes_as_the_worker_gave_it(room: Room) -> None:
    answer = await room.complete("a", headers={"x-correlation-id": "corr-1"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["choices"] == [{"finish_reason": "stop"}]
    assert "x-internal" not in answer.headers
    [request] = room.log("a", "request")
    assert request["path"] == "/v1/chat/completions"
    assert request["request"]["messages"] == [{"role": "user", "content": "hi"}]
    assert request["correlation"] == answer.headers["x-correlation-id"] == "corr-1"


async def test_text_completions_go_their_own_way(room: Room) -> None:
    await room.client.post("/v1/completions", json={"model": "a", "prompt": "hi"})
    [request] = room.log("a", "request")
    assert request["path"] == "/v1/completions"


async def test_a_stream_flows_event_by_event(room: Room) -> None:
    room.plan("a", {"holds": "more"})
    async with room.streaming("a") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        assert '"content": "0"' in await anext(lines)  # while the worker holds the rest back
        room.let("more")
        rest = [line async for line in lines if line]
    assert rest[-1] == "data: [DONE]"
    assert len(rest) == 4


async def test_the_worker_s_refusal_passes_with_its_status(room: Room) -> None:
    room.plan("a", {"refuses": 400})
    answer = await room.complete("a")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


DEEP = b"[" * 200_000


BAD_REQUESTS = [
    (b'{"model": "nobody"}', 404, "unknown_model"),
    (b'{"model": "a\\u0000"}', 404, "unknown_model"),
    (b'{"model": "\\ud800"}', 404, "unknown_model"),
    (b'{"messages": []}', 422, "invalid"),
    (b'{"model": ""}', 422, "invalid"),
    (b'{"model": null}', 422, "invalid"),
    (b'{"model": ["a"]}', 422, "invalid"),
    (b"{", 400, "bad_request"),
    (b"", 400, "bad_request"),
    (b"[]", 400, "bad_request"),
    (b'"a"', 400, "bad_request"),
    (b"\x00\x00", 400, "bad_request"),
    (b'{"model": "\xff"}', 400, "bad_request"),
    (DEEP, 400, "bad_request"),
    (b'{"model": ' + DEEP, 400, "bad_request"),
    (b'{"model": ' + b"9" * 5000 + b"}", 400, "bad_request"),
]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_bad_requests_are_told_what_is_wrong_and_start_nothing(room: Room, path: str) -> None:
    for body, status, code in BAD_REQUESTS:
        answer = await room.client.post(path, content=body)
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (status, code), body[:40]
        assert problem["error"]["message"] == problem["detail"]  # as OpenAI's clients read it
    assert {room.starts(name) for name in "abc"} == {0}


async def test_an_unknown_model_names_those_there_are(room: Room) -> None:
    assert "a, b, c" in (await room.complete("nobody")).json()["hint"]


async def test_models_are_listed_and_shown_as_openai_does(room: Room) -> None:
    listed = (await room.client.get("/v1/models")).json()
    assert [model["id"] for model in listed["data"]] == ["a", "b", "c"]
    assert (await room.client.get("/v1/models/b")).json() == listed["data"][1]
    assert (await room.client.get("/v1/models/nobody")).status_code == 404


@pytest.mark.parametrize("change", [{"enabled": False}, {"compatibility": "missing"}])
async def test_a_model_that_may_not_run_is_not_there(room: Room, change: dict[str, Any]) -> None:
    room.change("a", **change)
    assert [model["id"] for model in (await room.client.get("/v1/models")).json()["data"]] == ["b", "c"]
    assert (await room.client.get("/v1/models/a")).status_code == 404
    answer = await room.complete("a")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_model")
    assert room.starts("a") == 0


async def test_a_model_registered_a_moment_ago_is_found(room: Room) -> None:
    room.change("a", enabled=False)
    assert (await room.complete("a")).status_code == 404
    room.change("a", enabled=True)
    assert (await room.complete("a")).status_code == 200


async def test_every_answer_leaves_what_was_chosen_and_what_it_cost(room: Room) -> None:
    headers = {**room.token(Role.USER), "x-correlation-id": "corr-2"}
    await room.complete("a", stream=True, headers=headers)
    [choice], [use] = await room.kept(RoutingEvent), await room.kept(ModelUsageStat)
    assert (choice.model, choice.provider, choice.user, choice.correlation_id) == ("a", "local", "ann", "corr-2")
    assert (use.model, use.user, use.correlation_id, use.outcome) == ("a", "ann", "corr-2", "ok")
    assert (use.prompt_tokens, use.completion_tokens, use.finish_reason) == (7, 3, "stop")
    assert 0 < use.ttft_ms <= use.latency_ms


@pytest.mark.parametrize(
    ("plan", "outcome"),
    [
        ({"refuses": 400}, "refused"),
        ({"dies": "before"}, "worker_died"),
        ({"dies": "event"}, "worker_died"),
        ({"load": "failed", "detail": "no"}, "model_failed"),
    ],
)
async def test_an_answer_that_went_wrong_leaves_a_row_that_says_how(
    room: Room, plan: dict[str, Any], outcome: str
) -> None:
    room.plan("a", plan)
    await room.complete("a", stream=True)
    [use] = await room.kept(ModelUsageStat)
    assert (use.outcome, use.completion_tokens, use.finish_reason) == (outcome, None, None)


async def test_many_at_once_load_once_and_each_is_answered_and_counted(room: Room) -> None:
    answers = await asyncio.gather(*(room.complete("ab"[number % 2], stream=True) for number in range(100)))
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.text.endswith("data: [DONE]\n\n") for answer in answers)
    assert (room.starts("a"), room.starts("b")) == (1, 1)
    assert [use.outcome for use in await room.kept(ModelUsageStat, 100)] == ["ok"] * 100
    assert (await room.client.get("/switch/queue/status")).json() == {
        "in_use": 0,
        "waiting": 0,
        "by_model": {},
        "entries": [],
    }


async def test_a_client_that_leaves_in_the_middle_frees_the_worker(room: Room) -> None:
    room.plan("a", {"holds": "never"})
    async with room.streaming("a") as answer:
        await anext(answer.aiter_lines())
    await room.logged("a", "gone")
    await room.until("a", lambda model: model["in_use"] == 0)

    async def outcomes() -> list[str]:
        return [use.outcome for use in room.rows(ModelUsageStat)]

    assert await eventually(outcomes, bool) == ["cancelled"]


async def test_a_worker_killed_in_a_stream_ends_it_with_an_error_and_the_next_request_works(room: Room) -> None:
    room.plan("a", {"dies": "event"}, {})
    answer = await room.complete("a", stream=True)
    events = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line]
    assert answer.status_code == 200
    assert events[0]["choices"][0]["delta"] == {"content": "0"}
    assert (events[-1]["code"], events[-1]["error"]["code"]) == ("model_failed", "model_failed")
    assert "[DONE]" not in answer.text
    again = await room.complete("a")
    assert (again.status_code, room.starts("a")) == (200, 2)
    assert room.events("model.failed") == [{"model": "a", "reason": "its worker ended with SIGKILL"}]


async def test_a_worker_killed_before_its_answer_is_a_503_and_the_next_request_works(room: Room) -> None:
    room.plan("a", {"dies": "before"}, {})
    answer = await room.complete("a")
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "model_failed", "1")
    assert (await room.complete("a")).status_code == 200


async def test_a_whole_answer_that_breaks_off_does_not_look_whole(room: Room) -> None:
    room.plan("a", {"dies": "after"})
    with pytest.raises(httpx.RemoteProtocolError):
        await room.complete("a")


async def test_one_death_ends_every_stream_of_that_worker_and_no_other(room: Room) -> None:
    room.plan("a", {"holds": "never"})
    room.plan("b", {"holds": "more"})
    streams = [asking(room, name, stream=True) for name in "aaab"]
    await room.logged("a", "request", 3)
    await room.logged("b", "request")
    [start] = room.log("a", "start")
    await room.until("a", lambda model: model["in_use"] == 3)
    os.kill(start["pid"], signal.SIGKILL)
    await gone(start["pid"])
    room.let("more")
    texts = [(await stream).text for stream in streams]
    assert ["[DONE]" in text for text in texts] == [False, False, False, True]
    assert ["model_failed" in text for text in texts] == [True, True, True, False]


RIGHTS = [
    (Role.USER, "GET", "/v1/models", 200),
    (Role.USER, "GET", "/switch/models", 200),
    (Role.USER, "GET", "/switch/queue/status", 200),
    (Role.USER, "POST", "/switch/models/a/load", 403),
    (Role.USER, "POST", "/switch/models/a/unload", 403),
    (Role.OPERATOR, "POST", "/switch/models/a/load", 200),
    (Role.OPERATOR, "POST", "/switch/models/a/unload", 200),
    (None, "GET", "/v1/models", 401),
    (None, "POST", "/v1/chat/completions", 401),
]


async def test_rights(room: Room) -> None:
    for role, method, path, status in RIGHTS:
        headers = {"x-vx11-token": ""} if role is None else room.token(role)
        answer = await room.client.request(method, path, headers=headers)
        assert answer.status_code == status, (role, path)
    assert (await room.complete("a", headers=room.token(Role.USER))).status_code == 200
