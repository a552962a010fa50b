"""Bad weather around models, on real processes: files that change, workers that hang and die at each stage of their
life. Every request is answered or told why not, and the next one works."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.support.chats import (
    FILES,
    OTHER,
    SMALL,
    Door,
    Streamed,
    chat_body,
    chatting_fleet,
    cpu_seconds,
    take_in,
    workers,
)
from tests.support.eventually import eventually
from tests.support.worker import model_file

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]
SEA = "Write one sentence about the sea."
CONTEXT = 512
STALL_SEC = 8
BOUND_SEC = 60


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    folder = tmp_path_factory.mktemp("serving-weather")
    settings = {
        "VX11_SWITCH_CONTEXT_TOKENS": str(CONTEXT),
        "VX11_SWITCH_STALL_SEC": str(STALL_SEC),
        "VX11_SWITCH_COOLDOWN_SEC": "1",
    }
    async with chatting_fleet(folder, SMALL, OTHER, **settings) as door:
        yield door


async def works(door: Door) -> str:
    """A chat that is answered, at the latest when a model that failed has rested."""

    async def ask() -> httpx.Response:
        return await door.call("POST", "/v1/chat/completions", json=chat_body(SEA, SMALL, {}))

    answer = await eventually(ask, lambda answer: answer.status_code == 200, within_sec=BOUND_SEC)
    return str(answer.json()["choices"][0]["message"]["content"])


async def nobody_is_served(door: Door) -> None:
    async def queue() -> tuple[int, int]:
        seen = (await door.call("GET", "/switch/queue/status")).json()
        return seen["in_use"], seen["waiting"]

    await eventually(queue, lambda seen: seen == (0, 0))


def is_clear(answer: httpx.Response) -> bool:
    """Whether it is an answer, or a problem that says what happened."""
    return answer.status_code == 200 or bool(answer.json()["code"] and answer.json()["detail"])


async def asleep(door: Door, model: str = SMALL) -> None:
    """Have a model out of memory."""
    await nobody_is_served(door)
    await door.call("POST", f"/switch/models/{model}/unload")
    await eventually(lambda: door.model(model), lambda one: one["stage"] == "asleep")


def shelf_of(door: Door) -> Path:
    return door.fleet.folder / "models" / f"{SMALL}.gguf"


def put(door: Door, model: str) -> None:
    """Lay a copy of a model's file in the small one's place, in one step; what lay there was a link to the original."""
    copy = door.fleet.folder / "copy.part"
    shutil.copy(model_file(FILES[model]), copy)
    copy.replace(shelf_of(door))


async def scan(door: Door) -> None:
    answer = await door.call("POST", "/hermes/scan")
    assert answer.status_code == 200, answer.text


async def completed(door: Door, model: str) -> str:
    body = {"model": model, "prompt": "The capital of Spain is", "max_tokens": 8, "temperature": 0}
    answer = await door.call("POST", "/v1/completions", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["text"])


async def test_a_file_that_is_replaced_while_loaded_is_what_answers_next(door: Door) -> None:
    others, own = await completed(door, OTHER), await completed(door, SMALL)
    await asleep(door, OTHER)  # here and below there is one worker at a time
    assert others != own
    try:
        put(door, OTHER)
        await scan(door)
        await eventually(lambda: completed(door, SMALL), lambda text: text == others, within_sec=BOUND_SEC)
    finally:
        put(door, SMALL)
        await scan(door)
    await eventually(lambda: completed(door, SMALL), lambda text: text == own, within_sec=BOUND_SEC)


async def test_a_file_that_is_cut_while_loaded_is_told_and_can_be_mended(door: Door) -> None:
    put(door, SMALL)
    await works(door)
    try:
        os.truncate(shelf_of(door), 10_000_000)
        async with asyncio.timeout(BOUND_SEC):
            answers = [
                await door.call("POST", "/v1/chat/completions", json=chat_body(SEA, SMALL, {})) for _ in range(3)
            ]
        assert all(is_clear(answer) for answer in answers), [answer.text for answer in answers]
        await scan(door)
        last = await door.call("POST", "/v1/chat/completions", json=chat_body(SEA, SMALL, {}))
        assert last.status_code >= 400
        assert is_clear(last)
    finally:
        put(door, SMALL)
        await scan(door)
    assert await works(door)


async def test_a_file_that_is_deleted_while_loaded_is_gone_for_new_requests_only(door: Door) -> None:
    async def asked() -> httpx.Response:
        return await door.call("POST", "/v1/chat/completions", json=chat_body(SEA, SMALL, {}))

    await works(door)
    try:
        async with door.streaming("Tell me a long story.", max_tokens=200) as answer:
            seen, lines = Streamed(answer.status_code), answer.aiter_lines()
            take_in(seen, await anext(lines))
            shelf_of(door).unlink()
            await scan(door)
            async for line in lines:
                take_in(seen, line)
        assert seen.whole
        gone = await eventually(asked, lambda answer: answer.status_code != 200)
        assert (gone.status_code, gone.json()["code"]) == (404, "unknown_model")
        await eventually(lambda: listed(door), lambda names: names == [OTHER])
    finally:
        put(door, SMALL)
        await scan(door)
    assert await works(door)


async def listed(door: Door) -> list[str]:
    return [model["id"] for model in (await door.call("GET", "/v1/models")).json()["data"]]


async def a_worker(door: Door) -> int:
    async def running() -> list[int]:
        return workers(door.fleet)

    return (await eventually(running, lambda pids: len(pids) == 1))[0]


async def while_it_reads_the_prompt(door: Door) -> int:
    worker = await a_worker(door)
    began = cpu_seconds(worker)

    async def used() -> float:
        return cpu_seconds(worker) - began

    await eventually(used, lambda seconds: seconds > 0.05)
    return worker


STAGES: dict[str, Callable[[Door], Awaitable[int]]] = {"loads": a_worker, "reads the prompt": while_it_reads_the_prompt}


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
@pytest.mark.parametrize("stage", STAGES)
async def test_a_worker_struck_before_its_first_word(door: Door, stage: str, blow: signal.Signals) -> None:
    """Whoever asked is answered by another worker or told why not, in bounded time; the next one is answered."""
    await works(door)
    if stage == "loads":
        await asleep(door)
    body = chat_body(f"{blow} {stage}: " + "sea " * 400, SMALL, {"max_tokens": 4})
    async with asyncio.timeout(BOUND_SEC):
        asking = asyncio.create_task(door.call("POST", "/v1/chat/completions", json=body))
        worker = await STAGES[stage](door)
        os.kill(worker, blow)
        answer = await asking
    assert is_clear(answer), answer.text
    assert answer.status_code in (200, 500, 502, 503, 504)
    assert await works(door)
    assert not Path(f"/proc/{worker}").exists()


async def test_a_worker_that_hangs_in_the_middle_of_an_answer_ends_it_with_an_error(door: Door) -> None:
    await works(door)
    async with asyncio.timeout(BOUND_SEC), door.streaming("Tell me a long story.", max_tokens=300) as answer:
        seen, lines = Streamed(answer.status_code), answer.aiter_lines()
        take_in(seen, await anext(lines))
        worker = await a_worker(door)
        os.kill(worker, signal.SIGSTOP)
        async for line in lines:
            take_in(seen, line)
    assert not seen.whole
    assert seen.error is not None
    assert seen.error["code"] == "model_failed"
    assert await works(door)


async def test_a_worker_that_dies_idle_is_not_missed(door: Door) -> None:
    await works(door)
    await nobody_is_served(door)
    os.kill(await a_worker(door), signal.SIGKILL)
    answer = await door.call("POST", "/v1/chat/completions", json=chat_body(SEA, SMALL, {}))
    assert is_clear(answer)
    assert await works(door)
    assert door.fleet.integrity() == "ok"
