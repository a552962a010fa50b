"""A real llama.cpp server, from the `xllamacpp` wheel, as a provider by URL of Switch."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from config.db_schema import ModelUsageStat
from config.settings import SwitchSettings
from switch.app import create
from tests.support.eventually import eventually
from tests.support.house import ADMIN_HEADERS, house_in
from tests.support.llama_server import LlamaServer, llama_server
from tests.support.server import served
from tests.support.worker import model_file

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]
PROMPT = [{"role": "user", "content": "Name three rivers."}]


def client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, headers=ADMIN_HEADERS, timeout=100)


@dataclass
class Far:
    """Switch with one provider, and that provider as it is asked directly."""

    client: httpx.AsyncClient
    server: LlamaServer
    model: str
    rows: Any

    async def ask(self, **members: Any) -> httpx.Response:
        body = {"model": self.model, "messages": PROMPT, "temperature": 0, "max_tokens": 16, **members}
        return await self.client.post("/v1/chat/completions", json=body)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def far(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Far]:
    folder = tmp_path_factory.mktemp("endpoint")
    file = folder / "providers.toml"
    async with llama_server(model_file("SmolLM2-135M*.gguf").resolve()) as server:
        file.write_text(_declared(server.url))
        file.chmod(0o600)
        house = house_in(folder, "switch", switch=SwitchSettings(providers_file=file))

        def rows() -> list[ModelUsageStat]:
            with house.db.read() as session:
                return session.query(ModelUsageStat).all()

        async with (
            served(create(house)) as url,
            httpx.AsyncClient(base_url=url, headers=ADMIN_HEADERS, timeout=99) as c,
        ):
            listed = (await c.get("/v1/models")).json()["data"]
            [model] = [card["id"] for card in listed if card["owned_by"] == "llama"]
            yield Far(c, server, model, rows)


def _declared(url: str) -> str:
    return f'[providers.llama]\nurl = "{url}/v1"\nprice_in = 1.0\nprice_out = 2.0\nbudget_day = 1.0\n'


async def test_its_models_are_asked_of_it(far: Far) -> None:
    providers = (await far.client.get("/switch/providers")).json()["providers"]
    [card] = [card for card in providers if card["name"] == "llama"]
    assert card["models"] == [far.model]
    assert card["excluded"] is None


async def test_it_answers_as_when_asked_directly(far: Far) -> None:
    ours = await far.ask()
    theirs = (await far.server.post("/v1/chat/completions", messages=PROMPT, temperature=0, max_tokens=16)).json()
    assert ours.status_code == 200
    assert ours.headers["x-vx11-provider"] == "llama"
    assert ours.json()["choices"] == theirs["choices"]
    assert ours.json()["usage"] == theirs["usage"]


async def test_a_stream_comes_whole_and_is_counted_and_charged(far: Far) -> None:
    before = len(far.rows())
    whole = (await far.ask()).json()
    streamed = await far.ask(stream=True)
    events = [line.removeprefix("data: ") for line in streamed.text.splitlines() if line]
    chunks = [json.loads(event) for event in events[:-1]]
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert events[-1] == "[DONE]"
    assert text == whole["choices"][0]["message"]["content"]

    async def look() -> list[ModelUsageStat]:
        return list(far.rows()[before:])

    first, second = await eventually(look, lambda rows: len(rows) == 2)
    assert (first.completion_tokens, second.completion_tokens) == (16, 16)
    assert first.prompt_tokens == second.prompt_tokens == whole["usage"]["prompt_tokens"]
    assert second.prompt_tokens is not None
    assert second.cost == pytest.approx((second.prompt_tokens + 2 * 16) / 1e6)


async def test_a_chat_with_the_choice_left_open_reaches_it(far: Far) -> None:
    answer = (await far.client.post("/switch/chat", json={"messages": PROMPT, "metadata": {"max_tokens": 8}})).json()
    assert (answer["provider"], answer["model"]) == ("llama", far.model)
    assert answer["tokens_used"] > 8
    assert answer["reply"]


async def test_embeddings_it_does_not_offer_are_refused_in_its_words(far: Far) -> None:
    answer = await far.client.post("/v1/embeddings", json={"model": far.model, "input": "hi"})
    assert answer.status_code in (400, 502)
    assert "llama" in answer.json()["detail"]


async def test_a_prompt_that_is_too_long_is_the_caller_s_fault(far: Far) -> None:
    long = [{"role": "user", "content": "word " * 4000}]
    answer = await far.ask(messages=long)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert (await far.ask()).status_code == 200


async def test_a_server_that_dies_is_told(far: Far, tmp_path: Path) -> None:
    async with llama_server(model_file("SmolLM2-135M*.gguf").resolve()) as other:
        file = tmp_path / "providers.toml"
        file.write_text(_declared(other.url).replace("budget_day = 1.0\n", ""))
        house = house_in(tmp_path, "switch", switch=SwitchSettings(providers_file=file))
        async with (
            served(create(house)) as url,
            httpx.AsyncClient(base_url=url, headers=ADMIN_HEADERS, timeout=60) as c,
        ):
            body = {"model": far.model, "messages": PROMPT, "max_tokens": 4}
            assert (await c.post("/v1/chat/completions", json=body)).status_code == 200
            _kill(other.pid)
            gone = await c.post("/v1/chat/completions", json=body)
            assert (gone.status_code, gone.json()["code"]) in ((503, "unavailable"), (502, "bad_peer"))


def _kill(pid: int) -> None:

    os.kill(pid, signal.SIGKILL)
