"""Bad weather on real processes: workers, services and the door itself killed in the middle of answers."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest
import pytest_asyncio

from config.db_schema import EventRow, ModelUsageStat
from tests.support.chats import SMALL, Door, chatting_fleet, kept, rows, workers
from tests.support.eventually import eventually
from tests.support.forkserver import is_alive
from tests.support.load import AT_ONCE, HEALS_WITHIN_SEC, succeeds, under_load

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]
SEA = "Write one sentence about the sea."
MADE_OF_GLASS = ("switch", "hermes", "madre", "tentaculo_link")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    folder = tmp_path_factory.mktemp("weather")
    async with chatting_fleet(folder, SMALL, VX11_SWITCH_CONTEXT_TOKENS="512") as door:
        yield door


async def all_gone(pids: list[int]) -> None:
    """Return when these processes have ended."""

    async def left() -> list[int]:
        return [pid for pid in pids if is_alive(pid)]

    await eventually(left, lambda pids: not pids)


async def test_a_worker_killed_in_a_stream_ends_it_with_an_error_and_the_next_chat_works(door: Door) -> None:
    headers = {"x-correlation-id": "killed"}
    async with door.streaming("Tell me a long story.", max_tokens=400, headers=headers) as answer:
        lines = [line async for line in killing_after_the_first_event(door, answer)]
    assert '"code": "model_failed"' in lines[-1]
    assert "data: [DONE]" not in lines
    assert await door.said(SEA)
    [use] = await kept(door.fleet, ModelUsageStat, correlation_id="killed")
    assert (use.outcome, use.finish_reason) == ("worker_died", None)


async def killing_after_the_first_event(door: Door, answer: httpx.Response) -> AsyncIterator[str]:
    async for number, line in numbered(line async for line in answer.aiter_lines() if line.startswith("data:")):
        if number == 0:
            [worker] = workers(door.fleet)
            os.kill(worker, signal.SIGKILL)
        yield line


async def numbered(lines: AsyncIterator[str]) -> AsyncIterator[tuple[int, str]]:
    number = 0
    async for line in lines:
        yield number, line
        number += 1


async def test_a_stopped_worker_does_not_hold_the_fleet(door: Door) -> None:
    """A client in front of a worker that hangs can leave, and the model can be had anew."""
    await door.said(SEA)
    [worker] = workers(door.fleet)
    os.kill(worker, signal.SIGSTOP)
    asking = asyncio.create_task(door.stream(SEA))
    await eventually(door.model, lambda model: model["in_use"] == 1)
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    await eventually(door.model, lambda model: model["in_use"] == 0)
    await door.call("POST", f"/switch/models/{SMALL}/unload")
    assert await door.said(SEA)
    assert not is_alive(worker)


async def test_everything_dies_in_turn_under_load_and_the_fleet_heals(door: Door) -> None:
    async with under_load(door.stream) as load:
        await load.goes_on(AT_ONCE)
        for name in MADE_OF_GLASS:
            await door.call("GET", "/hermes/models")  # so that hermes is awake
            victim = door.fleet.pid_of(name)
            orphans = workers(door.fleet) if name == "switch" else []
            os.kill(victim, signal.SIGKILL)
            await all_gone([victim, *orphans])
            await load.goes_on(2 * AT_ONCE)
            await eventually(lambda: succeeds(door, "/hermes/models"), bool, within_sec=HEALS_WITHIN_SEC)
            await eventually(lambda: succeeds(door, "/vx11/status"), bool, within_sec=HEALS_WITHIN_SEC)
            assert door.fleet.integrity() == "ok"
    assert load.unsaid == []  # whoever got no answer was told so

    async def counted() -> set[str]:
        return {use.correlation_id for use in rows(door.fleet, ModelUsageStat, outcome="ok")}

    await eventually(counted, set(load.answered).issubset)  # those of the killed Switch too
    assert len(workers(door.fleet)) == 1
    failures = [event.data["reason"] for event in rows(door.fleet, EventRow, type="model.failed")]
    assert set(failures) <= {"its worker ended with SIGKILL"}
