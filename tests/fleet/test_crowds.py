"""Crowds on real processes: more clients than places, two models with room for one, clients that dawdle or vanish."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import httpx
import pytest
import pytest_asyncio

from config.db_schema import EventRow, ModelUsageStat
from tests.support.chats import OTHER, SMALL, Door, Streamed, chat_body, chatting_fleet, rows, take_in
from tests.support.eventually import eventually
from tests.support.house import ADMIN

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]
SEA = "Write one sentence about the sea."
ROOM_FOR_ONE_MB = 520  # of the two models, either; with this context they need about 270 and 415
CLIENTS = 200


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    folder = tmp_path_factory.mktemp("crowd")
    settings = {
        "VX11_SWITCH_CONTEXT_TOKENS": "512",
        "VX11_MODEL_MEMORY_MB": str(ROOM_FOR_ONE_MB),
        "VX11_SWITCH_MAX_WAITING": "64",
    }
    async with chatting_fleet(folder, SMALL, OTHER, **settings) as door:
        yield door


async def nobody_is_served(door: Door) -> None:
    async def queue() -> tuple[int, int]:
        seen = (await door.call("GET", "/switch/queue/status")).json()
        return seen["in_use"], seen["waiting"]

    await eventually(queue, lambda seen: seen == (0, 0))


async def asked_by(door: Door, number: int) -> list[httpx.Response]:
    """One of the crowd: asks until it is answered, coming again when it is told to (but in a test's time)."""
    model = SMALL if number % 2 else OTHER
    body = {"model": model, "prompt": f"Number {number} is", "max_tokens": 2, "temperature": 0}
    answers: list[httpx.Response] = []
    while not answers or answers[-1].status_code == 429:
        if answers:
            await asyncio.sleep(min(float(answers[-1].headers["retry-after"]), 3))
        headers = {"x-correlation-id": f"crowd-{number}"}
        answers.append(await door.call("POST", "/v1/completions", json=body, headers=headers))
    return answers


async def test_a_crowd_on_two_models_with_room_for_one(door: Door) -> None:
    before = len(rows(door.fleet, EventRow))
    async with asyncio.timeout(150):
        answers = await asyncio.gather(*(asked_by(door, number) for number in range(CLIENTS)))
    assert [tries[-1].text for tries in answers if tries[-1].status_code != 200] == []
    refused = [answer for tries in answers for answer in tries[:-1]]
    assert refused, "the queue was never full: this crowd was too small to show anything"
    assert {answer.json()["code"] for answer in refused} == {"rate_limited"}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    await nobody_is_served(door)

    events = rows(door.fleet, EventRow)[before:]
    assert [event.data for event in events if event.type == "model.failed"] == []
    unloads = [event for event in events if event.type == "model.unloaded"]
    assert unloads, "nothing was swapped: both models had room"
    assert len(unloads) < CLIENTS / 4, "models took turns more than they answered"
    done = await eventually(lambda: answered_by_row(door), lambda done: len(done) >= CLIENTS)
    assert sorted(use.correlation_id for use in done) == sorted(f"crowd-{number}" for number in range(CLIENTS))
    for event in unloads:
        assert [use.correlation_id for use in done if was_served_at(use, event)] == [], event.data


async def answered_by_row(door: Door) -> list[ModelUsageStat]:
    """What was written down of the crowd's answers; rows are written a moment after the answer."""
    return [use for use in rows(door.fleet, ModelUsageStat, outcome="ok") if use.correlation_id.startswith("crowd-")]


def was_served_at(use: ModelUsageStat, event: EventRow) -> bool:
    """Whether a model that an event tells of was in the middle of this answer at that moment."""
    first = use.at - timedelta(milliseconds=use.latency_ms - (use.ttft_ms or use.latency_ms))
    return bool(use.model == event.data["model"] and first < event.at < use.at)


async def counted_on(door: Door) -> str:
    """The one plain continuation of a text, so that a mix-up shows, and what others in a batch round does not."""
    body = {"model": SMALL, "prompt": ", ".join(map(str, range(1, 30))) + ",", "max_tokens": 12, "temperature": 0}
    return str((await door.call("POST", "/v1/completions", json=body)).json()["choices"][0]["text"])


async def test_who_reads_slowly_holds_up_nobody_and_gets_everything(door: Door) -> None:
    await door.said(SEA)
    body = json.dumps(chat_body("Tell me a long story.", SMALL, {"stream": True, "max_tokens": 200})).encode()
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    narrow.connect(("127.0.0.1", 8000 + door.fleet.offset))
    narrow.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=narrow, limit=1024)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-VX11-Token: {ADMIN}\r\nConnection: close\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert b"200" in await reader.readline()
    assert len({await counted_on(door) for _ in range(3)}) == 1
    seen = Streamed(200)
    async for line in reader:
        take_in(seen, line.decode().strip())
    writer.close()
    assert seen.whole
    assert seen.error is None
    await nobody_is_served(door)


async def test_who_vanishes_leaves_nothing_behind_and_may_send_again(door: Door) -> None:
    expected = await counted_on(door)

    async def vanishes(number: int) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05 * (number % 7)):
                await door.stream(SEA, max_tokens=100)

    async def again(number: int) -> str:
        await vanishes(number)
        return await door.said(SEA)

    texts = await asyncio.gather(*(again(number) for number in range(24)))
    assert all(text.strip() for text in texts)
    await nobody_is_served(door)
    assert await counted_on(door) == expected
