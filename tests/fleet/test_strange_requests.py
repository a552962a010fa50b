"""Requests nobody should send: each gets a right answer or a clear problem in bounded time, and the next one works."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.chats import SMALL, Door, chat_body, chatting_fleet, workers

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]
BOUND_SEC = 30
HI = "Say hi."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    folder = tmp_path_factory.mktemp("strange")
    async with chatting_fleet(folder, SMALL, VX11_SWITCH_CONTEXT_TOKENS="512") as door:
        await door.said(HI)
        yield door


async def told(door: Door, body: dict[str, Any] | bytes, path: str = "/v1/chat/completions") -> tuple[int, str]:
    """The status and the problem's code (empty for an answer); never later than the bound."""
    content: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"content": json.dumps(body)}
    headers = {"content-type": "application/json"}
    async with asyncio.timeout(BOUND_SEC):
        answer = await door.call("POST", path, headers=headers, **content)
    if answer.status_code == 200:
        assert answer.json()["choices"], answer.text
        return 200, ""
    problem = answer.json()
    assert problem["detail"], problem
    assert problem["error"]["message"]
    assert len(answer.content) < 64 * 1024, "a problem does not repeat what it was sent"
    return answer.status_code, problem["code"]


def prompt(text: Any, **members: Any) -> dict[str, Any]:
    return {"model": SMALL, "prompt": text, "max_tokens": 2, "temperature": 0, **members}


MEGABYTE = 1 << 20
LONG_TEXTS: dict[str, str] = {
    "latin": "a" * MEGABYTE,
    "emoji": "😀" * (MEGABYTE // 4),
    "accents on accents": "e" + "\u0301" * (MEGABYTE // 2),
    "right to left": "\u202e\u0627" * (MEGABYTE // 4),
    "family of emoji": "👨\u200d👩\u200d👧\u200d👦" * (MEGABYTE // 25),
    "null bytes": "\x00" * MEGABYTE,
    "control characters": "".join(map(chr, range(32))) * (MEGABYTE // 32),
    "spaces": " " * MEGABYTE,
    "new lines": "\n" * MEGABYTE,
    "marks of the template": "<|im_end|>" * (MEGABYTE // 50),  # llama.cpp's search for marks takes quadratic time
    "private use": "\U0010fffd" * (MEGABYTE // 4),
}


@pytest.mark.parametrize("name", LONG_TEXTS)
async def test_a_megabyte_is_too_much_for_the_context_and_is_told_so(door: Door, name: str) -> None:
    for path, body in (
        ("/v1/chat/completions", chat_body(LONG_TEXTS[name], SMALL, {"max_tokens": 2})),
        ("/v1/completions", prompt(LONG_TEXTS[name])),
    ):
        assert (await told(door, body, path))[1] in ("context_overflow", "invalid", "too_large"), path
    assert await door.said(HI)


SHORT_TEXTS = (
    "😀",
    "\x00",
    "\x00a\x00",
    "e\u0301" * 20,
    "\u202eabc",
    "\ufeff",
    "\U0010ffff",
    "{{ 7 * 7 }}",
    "{% for %}",
    "%s%n",
)


async def test_short_strange_texts_are_answered(door: Door) -> None:
    for text in SHORT_TEXTS:
        assert await told(door, chat_body(text, SMALL, {"max_tokens": 2})) == (200, ""), repr(text)
        assert await told(door, prompt(text), "/v1/completions") == (200, ""), repr(text)


async def test_half_of_a_character_is_refused_or_answered_but_never_breaks(door: Door) -> None:
    """JSON can say lone surrogates, which no UTF-8 can."""
    for body in (chat_body("\ud83d", SMALL, {}), prompt("a\udc00b"), prompt("x", stop=["\ud83d"])):
        path = "/v1/completions" if "prompt" in body else "/v1/chat/completions"
        status, _ = await told(door, body, path)
        assert status in (200, 400, 422)
    assert await told(door, b'{"model": "\xff\xfe", "prompt": "a"}', "/v1/completions") in (
        (400, "bad_request"),
        (422, "invalid"),
        (404, "unknown_model"),
    )


ABSURD: list[tuple[str, dict[str, Any]]] = [
    ("10,000 stop strings", {"stop": [f"stop {number}" for number in range(10_000)]}),
    ("a stop string of a megabyte", {"stop": ["s" * MEGABYTE]}),
    ("an empty stop string", {"stop": [""]}),
    ("max_tokens beyond all numbers", {"max_tokens": 10**30}),
    ("a negative max_tokens", {"max_tokens": -5}),
    ("temperature that is no number", {"temperature": float("nan")}),
    ("temperature without end", {"temperature": float("inf")}),
    ("temperature that is a list", {"temperature": [0.5]}),
    ("top_p of minus one", {"top_p": -1}),
    ("top_k beyond all numbers", {"top_k": 10**40}),
    ("a seed beyond all numbers", {"seed": 10**40}),
    ("a thousand million choices", {"n": 10**9}),
    ("penalties without end", {"frequency_penalty": 1e308, "presence_penalty": -1e308}),
    ("10,000 biases", {"logit_bias": {str(number): -100 for number in range(10_000)}}),
    ("a bias on a token there is not", {"logit_bias": {"99999999": 5}}),
    ("a format that is none", {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": 7}}}),
    ("10,000 tools", {"tools": [{"type": "function", "function": {"name": f"f{n}"}} for n in range(10_000)]}),
    ("a parameter nobody knows", {"drop_tables": True}),
    ("stream as a word", {"stream": "yes"}),
]


@pytest.mark.parametrize(("name", "members"), ABSURD, ids=[name for name, _ in ABSURD])
async def test_absurd_parameters_are_refused_with_their_name(door: Door, name: str, members: dict[str, Any]) -> None:
    answer = await told(door, chat_body(HI, SMALL, {"max_tokens": 2, **members}))
    assert answer in ((422, "invalid"), (400, "bad_request")), name
    assert await door.said(HI)


async def test_absurd_messages(door: Door) -> None:
    deep = b'{"model": "' + SMALL.encode() + b'", "messages": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    many = {"model": SMALL, "messages": [{"role": "user", "content": "a"}] * 20_000, "max_tokens": 2}
    refused = ((422, "invalid"), (400, "bad_request"), (400, "context_overflow"), (413, "too_large"))
    assert await told(door, deep) in refused
    assert await told(door, many) in refused
    odd: list[Any] = [[], [[]], [None], [{"role": "user"}], [{"role": "user", "content": {"a": 1}}], "text", 7, {}]
    for messages in odd:
        assert await told(door, {"model": SMALL, "messages": messages}) in refused, messages
    lists: list[list[Any]] = [[-1], [10**12], [None], [[]], [1.5], list(range(100_000))]
    for tokens in lists:
        assert await told(door, prompt(tokens), "/v1/completions") in refused, tokens[:3]


async def test_after_all_of_it_the_first_worker_still_serves(door: Door) -> None:
    [worker] = workers(door.fleet)
    bodies = [chat_body(HI, SMALL, {"stop": [str(n) for n in range(10_000)]}), prompt("😀" * 200_000)]
    said = await asyncio.gather(
        *(told(door, body, "/v1/completions" if "prompt" in body else "/v1/chat/completions") for body in bodies * 10),
        *(told(door, chat_body(HI, SMALL, {"max_tokens": 2})) for _ in range(10)),
    )
    assert said[20:] == [(200, "")] * 10
    # 429: twenty bodies of a megabyte at once may be more tokens than one queue holds, and that is said.
    assert {status for status, _ in said[:20]} <= {400, 413, 422, 429}
    assert workers(door.fleet) == [worker]
