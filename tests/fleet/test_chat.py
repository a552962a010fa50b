"""A local model answers through the door: gateway, switch, worker, llama.cpp, all of it real."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from config.db import Database
from config.db_schema import ApiToken, EventRow, ModelUsageStat, RoutingEvent
from tests.support import databases
from tests.support.chats import OTHER, SMALL, Door, chat_body, chatting_fleet, cpu_seconds, kept, rows, workers
from tests.support.eventually import eventually
from tests.support.house import ADMIN

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]
SEA = "Write one sentence about the sea."
CONTEXT = 2048


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    folder = tmp_path_factory.mktemp("chat")
    async with chatting_fleet(folder, SMALL, OTHER, VX11_SWITCH_CONTEXT_TOKENS=str(CONTEXT)) as door:
        yield door


async def test_the_first_chat_wakes_switch_loads_the_model_and_streams(door: Door) -> None:
    assert (await door.fleet.service("switch"))["state"] == "asleep"
    seen = await door.stream(SEA, stream_options={"include_usage": True}, headers={"x-correlation-id": "first"})
    assert (seen.status, seen.whole) == (200, True)
    assert seen.text.strip()
    assert seen.events[0]["choices"][0]["delta"]["role"] == "assistant"
    finish = [choice["finish_reason"] for event in seen.events for choice in event["choices"]]
    assert [reason for reason in finish if reason] == ["length"]
    usage = seen.events[-1]["usage"]
    assert usage["completion_tokens"] == 24
    assert usage["total_tokens"] == usage["prompt_tokens"] + 24

    [use] = await kept(door.fleet, ModelUsageStat, correlation_id="first")
    assert (use.model, use.user, use.outcome, use.finish_reason) == (SMALL, "admin", "ok", "length")
    assert (use.prompt_tokens, use.completion_tokens) == (usage["prompt_tokens"], 24)
    assert 0 < use.ttft_ms < use.latency_ms
    [choice] = await kept(door.fleet, RoutingEvent, correlation_id="first")
    assert (choice.model, choice.provider) == (SMALL, "local")


async def test_a_whole_answer_says_what_a_stream_says(door: Door) -> None:
    whole, streamed = await door.chat(SEA), await door.stream(SEA)
    assert whole["choices"][0]["message"]["content"] == streamed.text
    assert whole["usage"]["completion_tokens"] == 24
    assert whole["object"] == "chat.completion"


async def test_pieces_arrive_while_more_are_made(door: Door) -> None:
    async with door.streaming("Tell me a long story.", max_tokens=400) as answer:
        lines = answer.aiter_lines()
        assert await anext(lines)
        assert (await door.model())["in_use"] == 1
    await eventually(door.model, lambda model: model["in_use"] == 0)


async def test_an_answer_ends_before_a_stop_string(door: Door) -> None:
    text = await door.said(SEA)
    word = text.split()[3]
    answer = await door.chat(SEA, stop=[word, "never said"])
    assert answer["choices"][0]["message"]["content"] == text[: text.index(word)]
    assert answer["choices"][0]["finish_reason"] == "stop"


async def test_a_seed_makes_a_draw_repeatable(door: Door) -> None:
    async def drawn(seed: int) -> str:
        return await door.said(SEA, temperature=1.2, seed=seed)

    texts = [await drawn(seed) for seed in (1, 2, 3)]
    assert len(set(texts)) > 1
    assert await drawn(1) == texts[0]


async def test_sampling_parameters_reach_the_sampler(door: Door) -> None:
    greedy = await door.said(SEA)
    assert await door.said(SEA, temperature=2.0, top_k=1) == greedy
    assert await door.said(SEA, frequency_penalty=2.0, presence_penalty=2.0, max_tokens=60) != (
        await door.said(SEA, max_tokens=60)
    )


async def test_text_completions_of_another_model(door: Door) -> None:
    body = {"model": OTHER, "prompt": "The sea is", "max_tokens": 8, "temperature": 0}
    answer = (await door.call("POST", "/v1/completions", json=body)).json()
    assert (answer["object"], answer["model"], answer["usage"]["completion_tokens"]) == ("text_completion", OTHER, 8)
    assert answer["choices"][0]["text"].strip()
    no_template = await door.call("POST", "/v1/chat/completions", json=chat_body(SEA, OTHER, {}))
    assert (no_template.status_code, no_template.json()["code"]) == (400, "bad_request")
    assert "no chat template" in no_template.json()["detail"]


async def test_several_at_once_each_get_their_own_answer(door: Door) -> None:
    questions = ["Count from one to five.", "What is the capital of France?", "Name a colour.", SEA, "Hi."]
    sizes = [(await door.chat(question, max_tokens=1))["usage"]["prompt_tokens"] for question in questions]
    together = await asyncio.gather(
        *(door.chat(question, max_tokens=5 + number) for number, question in enumerate(questions))
    )
    usages = [answer["usage"] for answer in together]
    assert [usage["prompt_tokens"] for usage in usages] == sizes
    assert [usage["completion_tokens"] for usage in usages] == [5, 6, 7, 8, 9]
    assert len({answer["choices"][0]["message"]["content"] for answer in together}) == len(questions)


async def test_two_who_ask_for_a_sleeping_model_load_it_once(door: Door) -> None:
    await door.call("POST", f"/switch/models/{SMALL}/unload")
    await eventually(door.model, lambda model: model["stage"] == "asleep")
    before = len(rows(door.fleet, EventRow, type="model.loaded"))
    answers = await asyncio.gather(door.stream(SEA), door.stream(SEA))
    assert [answer.whole for answer in answers] == [True, True]
    loaded = rows(door.fleet, EventRow, type="model.loaded")[before:]
    assert [event.data["model"] for event in loaded] == [SMALL]


async def test_a_sleeping_switch_answers_again(door: Door) -> None:
    closed = await door.call("POST", "/vx11/window/close", json={"target": "switch"})
    assert closed.status_code == 200
    await door.fleet.comes_to("switch", "asleep")
    assert (await door.stream(SEA)).whole


async def test_a_client_that_leaves_inside_the_prompt_frees_the_processor(door: Door) -> None:
    await door.said(SEA)  # so that the model is there
    headers = {"x-correlation-id": "left-early"}
    asking = asyncio.create_task(door.stream("sea " * (CONTEXT - 150), headers=headers, max_tokens=100))
    await eventually(door.model, lambda model: model["in_use"] == 1)
    [worker] = [pid for pid in workers(door.fleet) if is_busy(pid)] or workers(door.fleet)[:1]
    began = cpu_seconds(worker)

    async def used() -> float:
        return cpu_seconds(worker) - began

    await eventually(used, lambda seconds: seconds > 0.05)
    asking.cancel()
    await eventually(door.model, lambda model: model["in_use"] == 0)

    async def used_while_looking() -> float:
        before = cpu_seconds(worker)
        await asyncio.sleep(0.2)
        return cpu_seconds(worker) - before

    await eventually(used_while_looking, lambda seconds: seconds <= 0.01)
    [use] = await kept(door.fleet, ModelUsageStat, correlation_id="left-early")
    assert (use.outcome, use.ttft_ms) == ("cancelled", None)  # it left before the first token


def is_busy(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "R"


async def test_a_prompt_longer_than_the_context_is_told_both_numbers(door: Door) -> None:
    answer = await door.call("POST", "/v1/chat/completions", json=chat_body("sea " * 3000, SMALL, {}))
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["context_tokens"]) == (400, "context_overflow", CONTEXT)
    assert problem["prompt_tokens"] > 3000
    assert str(CONTEXT) in problem["detail"]
    assert str(problem["prompt_tokens"]) in problem["detail"]


BAD_REQUESTS: list[tuple[dict[str, Any] | bytes, int, str]] = [
    (chat_body(SEA, "nobody", {}), 404, "unknown_model"),
    ({"messages": []}, 422, "invalid"),
    (chat_body(SEA, SMALL, {"temperature": "hot"}), 422, "invalid"),
    (chat_body(SEA, SMALL, {"max_tokens": 0}), 422, "invalid"),
    (chat_body(SEA, SMALL, {"no_such_parameter": 1}), 422, "invalid"),
    ({"model": SMALL, "messages": "hi"}, 422, "invalid"),
    (b'{"model": ', 400, "bad_request"),
    (b"\x00\xff", 400, "bad_request"),
    (b"[" * 100_000, 400, "bad_request"),
    (b"x" * (50 * 2**20), 413, "too_large"),
]


async def test_bad_requests_are_told_what_is_wrong(door: Door) -> None:
    for body, status, code in BAD_REQUESTS:
        content: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
        answer = await door.call("POST", "/v1/chat/completions", **content)
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (status, code), body[:40] if isinstance(body, bytes) else body
        assert answer.headers["content-type"] == "application/problem+json"
        assert problem["error"]["message"]


async def test_a_body_of_undeclared_length_has_the_same_limit(door: Door) -> None:
    async def flood() -> AsyncIterator[bytes]:
        for _ in range(50):
            yield b"x" * 2**20

    answer = await door.call("POST", "/v1/chat/completions", content=flood())
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_tokens(door: Door) -> None:
    async def status(token: str, method: str = "GET", path: str = "/v1/models") -> tuple[int, str]:
        answer = await door.call(method, path, headers={"x-vx11-token": token})
        return answer.status_code, answer.json().get("code", "")

    made = (await door.call("POST", "/auth/tokens", json={"user": "ann", "expires_in_sec": 60})).json()
    assert await status("") == (401, "auth_required")
    assert await status("vx11_wrong") == (403, "forbidden")
    assert await status(ADMIN[:-1]) == (403, "forbidden")
    assert await status(made["token"]) == (200, "")
    assert await status(made["token"], "POST", f"/switch/models/{SMALL}/load") == (403, "role_required")
    assert await status(made["token"], "POST", "/hermes/scan") == (403, "role_required")
    assert await status(made["token"], "POST", "/auth/tokens") == (403, "role_required")
    expire(door, made["token_id"])
    await eventually(lambda: status(made["token"]), lambda said: said == (403, "forbidden"))


def expire(door: Door, token_id: str) -> None:
    """Let a token's time be over, as if an hour had gone by."""
    database = Database(databases.url_in(door.fleet.folder))
    with database.write() as session:
        row = session.get_one(ApiToken, token_id)
        assert row.expires_at is not None
        row.expires_at -= datetime.timedelta(hours=1)
    database.close()


async def test_broken_files_are_put_aside_and_said(door: Door) -> None:
    shelf = door.fleet.folder / "models"
    whole = (shelf / f"{SMALL}.gguf").read_bytes()
    (shelf / "cut.gguf").write_bytes(whole[: len(whole) // 2])
    (shelf / "header.gguf").write_bytes(whole[:100])
    (shelf / "empty.gguf").write_bytes(b"")
    (shelf / "text.gguf").write_text("This is no model.\n")
    report = (await door.call("POST", "/hermes/scan")).json()
    assert {found["path"] for found in report["quarantined"]} == {"cut.gguf", "header.gguf", "empty.gguf", "text.gguf"}
    assert all(found["reason"] for found in report["quarantined"])
    assert sorted(path.name for path in shelf.glob("*.gguf")) == [f"{OTHER}.gguf", f"{SMALL}.gguf"]
    assert len(rows(door.fleet, EventRow, type="model.quarantined")) == 4
    names = [model["id"] for model in (await door.call("GET", "/v1/models")).json()["data"]]
    assert names == [OTHER, SMALL]
