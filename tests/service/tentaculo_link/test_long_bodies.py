"""Bodies too long to be held whole: passed on part by part, and only ever as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from tests.service.tentaculo_link.conftest import World

PART = b"y" * 100_000


async def test_a_long_body_of_undeclared_length_over_the_limit_is_too_large(world: World) -> None:
    async def flood() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield PART

    answer = await world.client.post("/switch/echo", content=flood())
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_half_a_body_never_passes_for_a_whole_one(world: World) -> None:
    got_half = asyncio.Event()

    async def half() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield PART
        got_half.set()
        await asyncio.Event().wait()

    sending = asyncio.create_task(world.client.post("/switch/silent", content=half()))
    await got_half.wait()
    while not world.seen:
        await asyncio.sleep(0.01)
    sending.cancel()
    await asyncio.wait_for(world.stream_cancelled.wait(), 5)
    assert world.swallowed == []


async def test_a_client_that_leaves_after_a_long_body_frees_the_service(world: World) -> None:
    asking = asyncio.create_task(world.client.post("/switch/silent", content=PART * 10))
    while not world.swallowed:
        await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.wait_for(world.stream_cancelled.wait(), 5)
    assert world.swallowed == [10 * len(PART)]
