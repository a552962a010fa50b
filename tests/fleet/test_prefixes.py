"""The memory of prompts in a real worker with real models: second turns, in this life and the next."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from switch.worker.spec import WorkerSpec
from tests.support.eventually import eventually
from tests.support.worker import WorkerClient, WorkerProcess, client_of, model_file, said_text

# More tokens than the sliding window of Gemma 3.
LONG = "".join(f"Item {number} costs {number * 7 % 50} coins. " for number in range(44))

COUNTED = ", ".join(str(number) for number in range(1, 50))


def spec_for(model: Path, folder: Path, **changes: Any) -> WorkerSpec:
    plain = WorkerSpec(
        model_path=str(model),
        model_name="m",
        socket_path=str(folder / "w.sock"),
        n_ctx=1536,
        n_seq_max=2,
        kv_tokens=3072,
        n_batch=256,
        n_kept=4,
        kept_tokens=512,
        prefix_ram_mb=64,
        prefix_disk_mb=256,
        prefix_folder=str(folder / "prefixes"),
        model_sha256="0" * 64,
        save_after_ms=200,
    )
    return replace(plain, **changes)


@pytest.fixture(params=["SmolLM2-135M*.gguf", "gemma-3-270m*.gguf"])
def spec(request: pytest.FixtureRequest, tmp_path: Path) -> WorkerSpec:
    return spec_for(model_file(request.param), tmp_path)


@pytest.fixture
def workers() -> Iterator[list[WorkerProcess]]:
    started: list[WorkerProcess] = []
    yield started
    for one in started:
        one.end()


def start(spec: WorkerSpec, workers: list[WorkerProcess]) -> dict[str, Any]:
    workers.append(WorkerProcess(spec))
    ready = workers[-1].wait_until_told()
    assert ready.get("event") == "ready", workers[-1].said
    return ready


async def turn(client: WorkerClient, prompt: str, **members: Any) -> tuple[str, int, int]:
    """The answer, how many tokens the prompt had, and how many of them were known."""
    status, body = await client.post("/v1/completions", prompt=prompt, max_tokens=6, temperature=0, **members)
    assert status == 200, body
    usage = body["usage"]
    return said_text(body), usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]


async def test_second_turns_are_not_read_again_in_this_life_and_the_next(
    spec: WorkerSpec, workers: list[WorkerProcess]
) -> None:
    assert start(spec, workers)["prefix_reuse"] == "shared"
    async with client_of(spec) as client:
        said: dict[str, tuple[str, int]] = {}
        for name in ("Anna", "Bert", "Carl"):
            answer, count, cached = await turn(client, f"{name}. {LONG}")
            assert cached < 16, "conversations that only begin alike by their first words"
            said[name] = (f"{name}. {LONG}{answer}", count)
        for name, (before, count) in said.items():
            assert (await turn(client, f"{before} And then {name} said"))[2] >= count - 2
    assert await asyncio.to_thread(workers[-1].let_go) == 0

    start(spec, workers)
    async with client_of(spec) as client:
        before, count = said["Carl"]
        assert (await turn(client, f"{before} And then Carl said"))[2] >= count - 2
        assert (await client.health())["prefixes"]["restored_from_disk"] == 1


async def test_what_was_proved_once_holds_in_the_next_life(spec: WorkerSpec, workers: list[WorkerProcess]) -> None:
    whole = start(spec, workers)
    assert await asyncio.to_thread(workers[-1].let_go) == 0
    for proved in ("shared", "whole", "off"):
        ready = start(replace(spec, proved=proved), workers)
        assert ready["prefix_reuse"] == proved
        assert ready["canary"]["tokens"] == whole["canary"]["tokens"][:1]
        assert await asyncio.to_thread(workers[-1].let_go) == 0


async def test_what_is_reused_is_answered_as_what_is_read(spec: WorkerSpec, workers: list[WorkerProcess]) -> None:
    """With one plain continuation each, so that a mix-up shows and rounding does not (see test_worker)."""
    prompts = [f"{COUNTED}, 50, 51,", f"{COUNTED},", f"{COUNTED}, 50, 51, 52, 53,"]
    start(replace(spec, n_kept=0, prefix_ram_mb=0), workers)
    async with client_of(spec) as client:
        alone = [(await turn(client, prompt))[0] for prompt in prompts]
    assert await asyncio.to_thread(workers[-1].let_go) == 0
    start(spec, workers)
    async with client_of(spec) as client:
        again = [await turn(client, prompt) for prompt in prompts]
    assert [text for text, _, _ in again] == alone
    assert all(cached >= 100 for _, _, cached in again[1:])


async def test_eight_alike_are_read_once(spec: WorkerSpec, workers: list[WorkerProcess]) -> None:
    start(replace(spec, n_seq_max=8), workers)
    async with client_of(spec) as client:
        answers = await asyncio.gather(*(turn(client, f"{COUNTED},") for _ in range(8)))
        read = (await client.health())["prompt_tokens"]
    assert len({text for text, _, _ in answers}) == 1
    count = answers[0][1]
    assert sorted(cached for _, _, cached in answers) == [0] + [count - 1] * 7
    assert read < count + 100


async def test_leaving_inside_a_shared_prompt_harms_nobody(spec: WorkerSpec, workers: list[WorkerProcess]) -> None:
    start(spec, workers)
    async with client_of(spec) as client, client_of(spec) as leaver:
        answer, count, _ = await turn(client, LONG)
        call = asyncio.create_task(turn(leaver, LONG + " ".join(["so"] * 400)))
        await eventually(client.health, lambda seen: seen["in_flight"] == 1)
        call.cancel()
        await eventually(client.health, lambda seen: seen["in_flight"] == 0)
        again, _, cached = await turn(client, LONG + answer)
    assert cached >= count - 2
    assert again


async def test_more_than_the_cells_hold_are_all_answered(tmp_path: Path, workers: list[WorkerProcess]) -> None:
    spec = spec_for(model_file("SmolLM2-135M*.gguf"), tmp_path, n_ctx=256, kv_tokens=256, n_seq_max=4)
    start(spec, workers)
    async with client_of(spec) as client:

        async def story(number: int) -> int:
            members = {"prompt": f"Story {number}: once upon a time", "max_tokens": 120, "temperature": 0}
            status, body = await client.post("/v1/completions", **members)
            assert status == 200, body
            return int(body["usage"]["completion_tokens"])

        counts = await asyncio.gather(*(story(number) for number in range(6)))
        health = await client.health()
    assert all(counts)
    assert health["failed"] == 0
    assert health["in_flight"] == 0
