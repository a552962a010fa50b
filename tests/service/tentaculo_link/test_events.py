"""The event stream at the door: live, resumable, for operators, and by ticket for browsers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.service.tentaculo_link.conftest import World


def tell(world: World, type: str, **data: object) -> None:
    with world.house.db.write() as session:
        world.house.journal.append(session, type, data)


async def some_events(world: World, count: int, **request: Any) -> list[dict[str, Any]]:
    """The next `count` events of the stream."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(10), world.client.stream("GET", "/vx11/events", **request) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                found.append(json.loads(line[6:]))
            if len(found) == count:
                break
    return found


async def test_a_listener_hears_what_happens_from_now_on(world: World) -> None:
    tell(world, "model.loaded", model="before")
    async with asyncio.timeout(10), world.client.stream("GET", "/vx11/events") as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == ": connected"
        tell(world, "model.loaded", model="after")
        async for line in lines:
            if line.startswith("data: "):
                assert json.loads(line[6:])["data"] == {"model": "after"}
                break


async def test_a_listener_resumes_from_an_id_and_filters_by_type(world: World) -> None:
    for number in range(300):
        tell(world, "job.progress" if number % 2 else "model.loaded", number=number)
    events = await some_events(world, 149, headers={"last-event-id": "2"}, params={"types": "job."})
    assert [event["data"]["number"] for event in events] == list(range(3, 300, 2))
    assert {event["type"] for event in events} == {"job.progress"}


async def test_a_ticket_opens_the_stream_once(world: World) -> None:
    ticket = (await world.client.post("/vx11/events/ticket")).json()
    assert ticket["expires_in_sec"] == 60
    tell(world, "model.loaded", model="m")
    events = await some_events(
        world, 1, params={"ticket": ticket["ticket"]}, headers={"x-vx11-token": "", "last-event-id": "0"}
    )
    assert events[0]["data"] == {"model": "m"}
    with pytest.raises(httpx.HTTPStatusError, match="403"):
        await some_events(world, 1, params={"ticket": ticket["ticket"]}, headers={"x-vx11-token": ""})


async def test_events_are_for_operators(world: World) -> None:
    made = (await world.client.post("/auth/tokens", json={"user": "ana", "role": "user"})).json()
    answer = await world.client.get("/vx11/events", headers={"x-vx11-token": made["token"]})
    assert (answer.status_code, answer.json()["code"]) == (403, "role_required")
