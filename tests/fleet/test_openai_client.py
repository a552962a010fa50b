"""OpenAI's own client, unchanged, pointed at the door."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator
from typing import Any, Literal

import openai
import pydantic
import pytest
import pytest_asyncio

from tests.support.chats import SMALL, chatting_fleet
from tests.support.house import ADMIN

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]
CONTEXT = 512
SEA: list[openai.types.chat.ChatCompletionMessageParam] = [
    {"role": "system", "content": "You are brief."},
    {"role": "user", "content": "Write one sentence about the sea."},
]
TIDE: openai.types.chat.ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "tide",
        "description": "How high the sea is",
        "parameters": {
            "type": "object",
            "properties": {"coast": {"type": "string", "enum": ["north", "south"]}},
            "required": ["coast"],
        },
    },
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def base_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    folder = tmp_path_factory.mktemp("openai")
    async with chatting_fleet(folder, SMALL, VX11_SWITCH_CONTEXT_TOKENS=str(CONTEXT)) as door:
        yield door.fleet.url(8000) + "/v1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(base_url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=base_url, api_key=ADMIN, max_retries=0, timeout=100) as client:
        yield client


async def test_chat(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(model=SMALL, messages=SEA, max_tokens=16, temperature=0)
    [choice] = answer.choices
    assert (choice.message.role, choice.finish_reason, answer.model) == ("assistant", "length", SMALL)
    assert choice.message.content
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 16
    assert answer.id.startswith("chatcmpl-")


async def test_a_stream_with_usage(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model=SMALL, messages=SEA, max_tokens=16, temperature=0, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    whole = await client.chat.completions.create(model=SMALL, messages=SEA, max_tokens=16, temperature=0)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"


async def test_the_stream_helper(client: openai.AsyncOpenAI) -> None:
    ends_early: dict[str, Any] = {"temperature": 0, "stop": ["sea"]}  # an answer cut at max_tokens is an error there
    async with client.chat.completions.stream(model=SMALL, messages=SEA, **ends_early) as stream:
        async for _ in stream:
            pass
        final = await stream.get_final_completion()
    assert final.choices[0].message.content


async def test_completions(client: openai.AsyncOpenAI) -> None:
    answer = await client.completions.create(model=SMALL, prompt="The sea is", max_tokens=8, temperature=0, seed=1)
    assert answer.choices[0].text
    stream = await client.completions.create(
        model=SMALL, prompt="The sea is", max_tokens=8, temperature=0, seed=1, stream=True
    )
    assert "".join([chunk.choices[0].text async for chunk in stream]) == answer.choices[0].text


async def test_a_tool_is_called_and_its_answer_is_taken(client: openai.AsyncOpenAI) -> None:
    asked = await client.chat.completions.create(
        model=SMALL, messages=SEA, tools=[TIDE], tool_choice="required", max_tokens=60, temperature=0
    )
    [choice] = asked.choices
    assert choice.finish_reason == "tool_calls"
    [call] = choice.message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "tide"
    assert json.loads(call.function.arguments)["coast"] in ("north", "south")
    answered: list[Any] = [
        *SEA,
        choice.message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "high"},
    ]
    after = await client.chat.completions.create(
        model=SMALL, messages=answered, tools=[TIDE], tool_choice="none", max_tokens=8
    )
    assert after.choices[0].message.content


async def test_a_streamed_tool_call_adds_up(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model=SMALL, messages=SEA, tools=[TIDE], tool_choice="required", max_tokens=60, temperature=0, stream=True
    )
    deltas = [chunk.choices[0].delta async for chunk in stream if chunk.choices]
    calls = [call.function for delta in deltas for call in delta.tool_calls or [] if call.function]
    assert calls[0].name == "tide"
    assert json.loads("".join(call.arguments or "" for call in calls))["coast"] in ("north", "south")


async def test_a_json_schema_is_kept(client: openai.AsyncOpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"depth": {"type": "integer", "minimum": 1, "maximum": 99}, "salty": {"type": "boolean"}},
        "required": ["depth", "salty"],
        "additionalProperties": False,
    }
    answer = await client.chat.completions.create(
        model=SMALL,
        messages=SEA,
        max_tokens=60,
        response_format={"type": "json_schema", "json_schema": {"name": "sea", "schema": schema, "strict": True}},
    )
    sea = json.loads(answer.choices[0].message.content or "")
    assert 1 <= sea["depth"] <= 99
    assert isinstance(sea["salty"], bool)


class Sea(pydantic.BaseModel):
    depth: int
    waves: Literal["low", "high"]


async def test_the_parse_helper(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.parse(model=SMALL, messages=SEA, response_format=Sea, max_tokens=60)
    assert isinstance(answer.choices[0].message.parsed, Sea)


async def test_several_choices_with_chances(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model=SMALL, messages=SEA, n=2, max_tokens=4, logprobs=True, top_logprobs=3, seed=1
    )
    assert [choice.index for choice in answer.choices] == [0, 1]
    for choice in answer.choices:
        assert choice.logprobs is not None
        assert [len(token.top_logprobs) for token in choice.logprobs.content or []] == [3] * 4


@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_embeddings(client: openai.AsyncOpenAI, encoding: Literal["float", "base64"]) -> None:
    answer = await client.embeddings.create(model=SMALL, input=["the sea", "a stone"], encoding_format=encoding)
    assert [one.index for one in answer.data] == [0, 1]
    assert answer.usage.prompt_tokens > 0
    if encoding == "float":
        assert math.isclose(sum(value * value for value in answer.data[0].embedding), 1, abs_tol=1e-3)


async def test_models(client: openai.AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == [SMALL]
    assert (await client.models.retrieve(SMALL)).id == SMALL


async def test_an_unknown_model(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await client.chat.completions.create(model="gpt-5", messages=SEA)
    assert (caught.value.code, caught.value.status_code) == ("unknown_model", 404)
    assert "gpt-5" in caught.value.message
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("gpt-5")


async def test_a_prompt_longer_than_the_context(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model=SMALL, messages=[{"role": "user", "content": "sea " * 600}])
    assert caught.value.code == "context_overflow"
    assert isinstance(caught.value.body, dict)
    prompt_tokens, context_tokens = map(int, re.findall(r"\d+", caught.value.body["message"]))
    assert prompt_tokens > 600
    assert context_tokens == CONTEXT


async def test_a_parameter_that_is_not_as_it_should_be(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        await client.chat.completions.create(model=SMALL, messages=SEA, temperature=17)
    assert "temperature" in caught.value.message


async def test_tokens(client: openai.AsyncOpenAI, base_url: str) -> None:
    with pytest.raises(openai.PermissionDeniedError):
        await client.with_options(api_key="vx11_wrong").models.list()
    with pytest.raises(openai.AuthenticationError):
        await client.models.list(extra_headers={"authorization": ""})


async def test_the_client_that_does_not_await(base_url: str) -> None:
    def ask() -> str:
        with openai.OpenAI(base_url=base_url, api_key=ADMIN, max_retries=0, timeout=100) as client:
            stream = client.chat.completions.create(model=SMALL, messages=SEA, max_tokens=8, stream=True)
            return "".join(chunk.choices[0].delta.content or "" for chunk in stream)

    assert await asyncio.to_thread(ask)
