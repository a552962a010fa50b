"""What a worker answers beyond plain text: choices, chances, calls, forms and vectors, over a model that counts."""

import asyncio
import base64
import struct
from typing import Any

import pytest

from tests.support.asgi_worker import SPEC, CountingVectors, House, chat, serving
from tests.support.eventually import eventually

TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
SHORT = "{% for m in messages %}{{ m.content[:5] }}{% endfor %}{% if tools %}{# <tool_call> #}{% endif %}"
CHAT, TEXT, EMBED = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"


async def test_several_choices_of_one_prompt() -> None:
    async with serving() as house:
        body = (await house.ask(CHAT, chat(n=2))).json()
    assert [choice["message"]["content"] for choice in body["choices"]] == ["6 7 8 "] * 2
    assert body["usage"]["prompt_tokens"] == 6
    assert body["usage"]["completion_tokens"] == 6


async def test_several_choices_are_streamed_beside_each_other() -> None:
    async with serving() as house:
        events = (await house.ask(CHAT, chat(n=2, stream=True, stream_options={"include_usage": True}))).events()
    texts, ends = {0: "", 1: ""}, []
    for event in events[:-1]:
        [choice] = event["choices"]
        texts[choice["index"]] += choice["delta"].get("content", "")
        ends += [choice["finish_reason"]] * bool(choice["finish_reason"])
    assert texts == {0: "6 7 8 ", 1: "6 7 8 "}
    assert ends == ["length", "length"]
    assert (events[-1]["choices"], events[-1]["usage"]["total_tokens"]) == ([], 12)
    assert sum("timings" in event for event in events) == 1


async def test_who_leaves_gives_up_all_choices() -> None:
    async with serving() as house:
        house.compute.gate.clear()
        exchange = house.begin(CHAT, chat(n=2, max_tokens=50))
        await asyncio.to_thread(house.compute.entered.wait, 10)
        exchange.leave()
        await asyncio.wait_for(exchange.task, 10)
        await eventually(lambda: in_flight(house), lambda count: count == 0)


async def in_flight(house: House) -> int:
    return int(house.engine.snapshot()["in_flight"])


async def test_choices_that_find_no_room_in_the_queue_leave_nothing_behind() -> None:
    async with serving() as house:
        house.compute.gate.clear()
        running = [house.begin(TEXT, {"model": "m", "prompt": "ab", "max_tokens": 2}) for _ in range(3)]
        await eventually(lambda: waiting(house), lambda count: count >= 1)
        refused = await house.ask(TEXT, {"model": "m", "prompt": "ab", "n": 2, "max_tokens": 2})
        house.compute.gate.set()
        await asyncio.wait_for(asyncio.gather(*(one.task for one in running)), 10)
        await eventually(lambda: waiting(house), lambda count: count == 0)
    assert refused.status == 429
    assert [one.status for one in running] == [200] * 3


async def waiting(house: House) -> int:
    return int(house.engine.snapshot()["waiting"])


async def test_chances_of_a_chat_streamed_and_whole() -> None:
    async with serving() as house:
        whole = (await house.ask(CHAT, chat(logprobs=True, top_logprobs=2))).json()
        events = (await house.ask(CHAT, chat(logprobs=True, top_logprobs=2, stream=True))).events()
        without = (await house.ask(CHAT, chat())).json()
    told = whole["choices"][0]["logprobs"]["content"]
    assert [one["token"] for one in told] == ["6 ", "7 ", "8 "]
    assert [one["token"] for one in told[0]["top_logprobs"]] == ["6 ", "7 "]
    chunks = [event["choices"][0]["logprobs"] for event in events]
    assert [one for chunk in chunks if chunk for one in chunk["content"]] == told
    assert without["choices"][0]["logprobs"] is None


async def test_chances_of_a_text() -> None:
    async with serving() as house:
        body = (await house.ask(TEXT, {"model": "m", "prompt": "ab", "max_tokens": 2, "logprobs": 1})).json()
    assert body["choices"][0]["logprobs"]["tokens"] == ["2 ", "3 "]


async def test_no_token_at_all() -> None:
    async with serving() as house:
        members = {"model": "m", "prompt": "abc", "max_tokens": 0}
        whole = (await house.ask(TEXT, members)).json()
        events = (await house.ask(TEXT, {**members, "stream": True})).events()
    assert (whole["choices"][0]["text"], whole["choices"][0]["finish_reason"]) == ("", "length")
    assert (whole["usage"]["prompt_tokens"], whole["usage"]["completion_tokens"]) == (3, 0)
    assert events[-1]["choices"][0]["finish_reason"] == "length"


BROKEN = {"type": "function", "function": {"name": "f", "parameters": {"$ref": "#/x"}}}
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    (CHAT, {"n": 3}, "n"),
    (CHAT, {"logit_bias": {"999": 1}}, "logit_bias.999"),
    (CHAT, {"grammar": "nonsense"}, "grammar"),
    (CHAT, {"response_format": {"type": "json_object", "schema": {"type": "colour"}}}, "response_format.schema"),
    (CHAT, {"response_format": {"type": "json_object", "schema": {"enum": ["\ud800"]}}}, "response_format.schema"),
    (CHAT, {"tools": [BROKEN], "tool_choice": "required"}, "tools"),
]


@pytest.mark.parametrize(("path", "members", "field"), REFUSED)
async def test_what_this_model_cannot_do_is_refused_by_name(path: str, members: dict[str, Any], field: str) -> None:
    async with serving(template=SHORT) as house:
        answer = await house.ask(path, chat(**members))
    assert answer.status == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_ten_thousand_stops_are_refused() -> None:
    async with serving() as house:
        answer = await house.ask(CHAT, chat(stop=[f"stop {number}" for number in range(10_000)]))
    assert answer.status == 422


async def test_what_is_no_call_is_shown_although_tools_were_offered() -> None:
    async with serving(template=SHORT) as house:
        body = (await house.ask(CHAT, chat(tools=[TOOL], max_tokens=2))).json()
        events = (await house.ask(CHAT, chat(tools=[TOOL], max_tokens=2, stream=True))).events()
    said = body["choices"][0]["message"]["content"]
    assert said == "5 6 "
    assert "".join(event["choices"][0]["delta"].get("content", "") for event in events) == said


async def test_dropped_messages_are_said_in_the_answer() -> None:
    turns = [{"role": "user", "content": "u" * 20}, {"role": "assistant", "content": "a" * 10}] * 2
    messages = [*turns, {"role": "user", "content": "now"}]
    async with serving() as house:
        refused = await house.ask(CHAT, chat(messages=messages))
        body = (await house.ask(CHAT, chat(messages=messages, context_overflow="drop_oldest"))).json()
    assert (refused.status, refused.json()["code"]) == (400, "context_overflow")
    assert body["vx11"] == {"dropped_messages": 2}


async def test_vectors_have_length_one() -> None:
    async with serving() as house:
        body = (await house.ask(EMBED, {"model": "m", "input": [[1, 1, 2], "\x04"]})).json()
        health = (await house.ask("/health", b"", method="GET")).json()
    assert [one["index"] for one in body["data"]] == [0, 1]
    assert body["data"][0]["embedding"] == [0.8, 0.6]
    assert body["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
    assert health["embedding_context"] == {"tokens": 8, "bytes": 12}


async def test_vectors_as_base64() -> None:
    async with serving() as house:
        body = (await house.ask(EMBED, {"model": "m", "input": [1, 3], "encoding_format": "base64"})).json()
    assert struct.unpack("<2f", base64.b64decode(body["data"][0]["embedding"])) == pytest.approx((0.8, 0.6))


@pytest.mark.parametrize(
    ("members", "status"),
    [
        ({"input": []}, 422),
        ({"input": ""}, 422),
        ({"input": [""]}, 422),
        ({"input": ["x"] * 257}, 422),
        ({"input": "x" * 9}, 400),
        ({"input": [999]}, 400),
        ({"input": "x", "dimensions": 7}, 422),
        ({"input": "x", "encoding_format": "hex"}, 422),
        ({"input": "x", "colour": "red"}, 422),
    ],
)
async def test_inputs_that_cannot_become_vectors_are_refused(members: dict[str, Any], status: int) -> None:
    async with serving() as house:
        answer = await house.ask(EMBED, {"model": "m", **members})
        fits = await house.ask(EMBED, {"model": "m", "input": "x", "dimensions": 2})
    assert (answer.status, fits.status) == (status, 200)


async def test_a_client_that_leaves_gives_its_vectors_up() -> None:
    vectors = CountingVectors()
    vectors.gate.clear()
    async with serving(vectors=vectors) as house:
        exchange = house.begin(EMBED, {"model": "m", "input": [[1] * 8] * 50})
        await asyncio.to_thread(vectors.entered.wait, 10)
        exchange.leave()
        await asyncio.wait_for(exchange.task, 10)
        vectors.gate.set()
        after = await house.ask(TEXT, {"model": "m", "prompt": "ab", "max_tokens": 1})
    assert (after.status, vectors.steps) == (200, 1)
    assert exchange.sent == []


async def test_vectors_end_with_the_engine() -> None:
    vectors = CountingVectors()
    vectors.gate.clear()
    async with serving(vectors=vectors) as house:
        first, second = (house.begin(EMBED, {"model": "m", "input": [[1] * 8] * 50}) for _ in range(2))
        await asyncio.to_thread(vectors.entered.wait, 10)
        house.engine.stop()
        vectors.gate.set()
        await asyncio.wait_for(asyncio.gather(first.task, second.task), 10)
        late = await house.ask(EMBED, {"model": "m", "input": "x"})
    assert [one.status for one in (first, second, late)] == [503] * 3


async def test_more_requests_for_vectors_than_may_wait_are_refused() -> None:
    vectors = CountingVectors()
    vectors.gate.clear()
    async with serving(vectors=vectors) as house:
        waiting_ones = [house.begin(EMBED, {"model": "m", "input": "x"}) for _ in range(SPEC.max_waiting)]
        await asyncio.to_thread(vectors.entered.wait, 10)
        refused = await house.ask(EMBED, {"model": "m", "input": "x"})
        vectors.gate.set()
        await asyncio.wait_for(asyncio.gather(*(one.task for one in waiting_ones)), 10)
    assert refused.status == 429
    assert {one.status for one in waiting_ones} == {200}
