"""The worker's HTTP, spoken to as ASGI, over a model that counts."""

import asyncio
from typing import Any

from switch.worker.server import MAX_BODY_BYTES
from tests.support.asgi_worker import House, chat, serving
from tests.support.eventually import eventually
from tests.support.vocabulary import ByteVocabulary


async def test_a_whole_chat() -> None:
    async with serving() as house:
        answer = await house.ask("/v1/chat/completions", chat())
    assert answer.status == 200
    # Six bytes of prompt ("uhello"): the begin mark is the tokenizer's to add, not the template's.
    assert answer.json()["choices"][0]["message"]["content"] == "6 7 8 "
    details = {"cached_tokens": 0}
    expected = {"prompt_tokens": 6, "completion_tokens": 3, "total_tokens": 9, "prompt_tokens_details": details}
    assert answer.json()["usage"] == expected


async def test_a_streamed_chat_says_the_same() -> None:
    async with serving() as house:
        options = {"include_usage": True}
        answer = await house.ask("/v1/chat/completions", chat(stream=True, stream_options=options))
    events = answer.events()
    assert dict(answer.sent[0]["headers"])[b"content-type"].startswith(b"text/event-stream")
    assert events[0]["choices"][0]["delta"]["role"] == "assistant"
    said = [event["choices"][0]["delta"].get("content", "") for event in events if event["choices"]]
    assert "".join(said) == "6 7 8 "
    assert events[-2]["choices"][0]["finish_reason"] == "length"
    assert events[-1]["usage"]["total_tokens"] == 9
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert answer.sent[-1]["more_body"] is False


async def test_completions_take_text_and_tokens() -> None:
    async with serving() as house:
        text = await house.ask("/v1/completions", {"model": "also-m", "prompt": "abc", "max_tokens": 1})
        tokens = await house.ask("/v1/completions", {"model": "m", "prompt": [1, 2], "max_tokens": 1, "stream": True})
        beyond = await house.ask("/v1/completions", {"model": "m", "prompt": [ByteVocabulary.n_vocab]})
    assert text.json()["choices"][0]["text"] == "3 "
    assert tokens.events()[0]["choices"][0]["text"] == "2 "
    assert beyond.status == 400


async def test_a_prompt_that_does_not_fit_is_told_both_numbers() -> None:
    async with serving() as house:
        answer = await house.ask("/v1/completions", {"model": "m", "prompt": "x" * 64, "stream": True})
        fits = await house.ask("/v1/completions", {"model": "m", "prompt": "x" * 63})
    assert (answer.status, answer.json()["code"]) == (400, "context_overflow")
    assert (answer.json()["prompt_tokens"], answer.json()["context_tokens"]) == (64, 64)
    assert (fits.status, fits.json()["usage"]["completion_tokens"]) == (200, 1)


async def test_refusals_are_problems() -> None:
    async with serving() as house:
        found = [
            await house.ask("/v1/chat/completions", chat(temperature="hot")),
            await house.ask("/v1/chat/completions", b"{"),
            await house.ask("/v1/chat/completions", chat(model="another")),
            await house.ask("/v1/chat/completions", b"", method="GET"),
            await house.ask("/v1/rerank", {}),
            await house.ask("/v1/chat/completions", b" " * (MAX_BODY_BYTES + 1)),
        ]
    assert [answer.status for answer in found] == [422, 400, 404, 405, 404, 413]
    assert [answer.json()["code"] for answer in found][2] == "unknown_model"
    assert all(answer.json()["correlation_id"] == "c-1" for answer in found)
    assert all((b"content-type", b"application/problem+json") in answer.sent[0]["headers"] for answer in found)


async def test_a_model_without_a_template_completes_but_does_not_chat() -> None:
    async with serving(template=None) as house:
        answer = await house.ask("/v1/chat/completions", chat())
        text = await house.ask("/v1/completions", {"model": "m", "prompt": "abc", "max_tokens": 1})
    assert (answer.status, text.status) == (400, 200)
    assert "/v1/completions" in answer.json()["hint"]


async def test_a_client_that_leaves_frees_its_sequence() -> None:
    async with serving() as house:
        house.compute.gate.clear()
        exchange = house.begin("/v1/chat/completions", chat(max_tokens=50, stream=True))
        await asyncio.to_thread(house.compute.entered.wait, 10)
        exchange.leave()
        await asyncio.wait_for(exchange.task, 10)
        assert exchange.sent == []
        await eventually(_snapshot(house), lambda seen: seen["in_flight"] == 0)
        assert house.engine.meter.cancelled == 1


async def test_a_failure_before_the_first_token_is_a_problem() -> None:
    async with serving() as house:
        house.compute.failing = True
        answer = await house.ask("/v1/chat/completions", chat(stream=True))
    assert (answer.status, answer.json()["code"]) == (503, "model_failed")


async def test_a_failure_in_mid_stream_is_an_event_without_the_end_mark() -> None:
    async with serving() as house:
        house.compute.free_batches = 2
        house.compute.gate.clear()
        exchange = house.begin("/v1/chat/completions", chat(stream=True, max_tokens=50))
        await asyncio.to_thread(house.compute.entered.wait, 10)
        house.compute.failing = True
        house.compute.gate.set()
        await asyncio.wait_for(exchange.task, 10)
    assert exchange.status == 200
    assert exchange.events()[-1]["error"]["code"] == "model_failed"
    assert b"[DONE]" not in exchange.body
    assert exchange.sent[-1]["more_body"] is False


async def test_a_full_queue_says_when_to_come_back() -> None:
    async with serving() as house:
        house.compute.gate.clear()
        running = [house.begin("/v1/chat/completions", chat()) for _ in range(4)]
        await eventually(_snapshot(house), lambda seen: seen["in_flight"] + seen["waiting"] == 4)
        refused = await house.ask("/v1/chat/completions", chat())
        house.compute.gate.set()
        await asyncio.gather(*(exchange.task for exchange in running))
    assert refused.status == 429
    assert b"retry-after" in dict(refused.sent[0]["headers"])
    assert [exchange.status for exchange in running] == [200] * 4


async def test_health_says_who_runs_and_how_much_was_done() -> None:
    async with serving() as house:
        await house.ask("/v1/chat/completions", chat())
        health = (await house.ask("/health", b"", method="GET")).json()
    assert health["state"] == "ready"
    assert (health["in_flight"], health["requests"], health["generated_tokens"]) == (0, 1, 3)
    assert (health["prompt_tokens"], health["n_ctx"]) == (6, 64)


def _snapshot(house: House) -> Any:
    async def look() -> dict[str, Any]:
        return house.engine.snapshot()

    return look
