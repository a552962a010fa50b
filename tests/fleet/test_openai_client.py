"""OpenAI's own client, unchanged, pointed at the door."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import openai
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
