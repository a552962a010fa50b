"""Whoever waits for an answer that is no stream, and goes away, is waited for by nothing."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.service.switch.conftest import HI, MODEL_MB, Room, switch_in
from tests.support.eventually import eventually

ROOM_FOR_ONE = MODEL_MB + MODEL_MB // 2


def asked(room: Room, path: str, body: Any) -> asyncio.Task[Any]:
    return asyncio.ensure_future(room.client.post(path, json=body))


async def gone(asking: asyncio.Task[Any]) -> None:
    """The caller closes the connection."""
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking


async def metrics(room: Room) -> str:
    return (await room.client.get("/metrics")).text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/switch/chat", {"messages": HI, "model": "a"}),
        ("/switch/route-v5", {"prompt": "hi", "metadata": {"model": "a"}}),
        ("/switch/advice", {"incident_summary": "smoke"}),
    ],
)
async def test_an_answer_that_nobody_waits_for_is_computed_no_further(
    tmp_path: Path, path: str, body: dict[str, Any]
) -> None:
    async with switch_in(tmp_path) as room:
        room.plan("a", {"holds": "never"})
        asking = asked(room, path, body)
        await room.logged("a", "request")
        await gone(asking)
        await room.logged("a", "gone")
        seen = await eventually(partial(metrics, room), lambda text: 'status="4xx"} 1.0' in text)
        assert 'status="5xx"} 0.0' in seen, "nobody's mistake is no bug"


async def test_a_load_that_nobody_waits_for_leaves_the_line(tmp_path: Path) -> None:
    async with switch_in(tmp_path, budget_mb=ROOM_FOR_ONE) as room:
        room.plan("a", {"holds": "let"})
        busy = asked(room, "/switch/chat", {"messages": HI, "model": "a"})
        await room.logged("a", "request")
        loading = asked(room, "/switch/models/b/load", {})
        await room.until("b", lambda model: bool(model["waiting"] == 1))
        await gone(loading)
        await room.until("b", lambda model: bool(model["waiting"] == 0))
        room.let("let")
        assert (await busy).status_code == 200
        assert (await room.client.post("/switch/models/c/load", json={})).status_code == 200
        assert room.starts("b") == 0


async def test_a_load_that_nobody_waits_for_can_be_given_back_before_its_end(tmp_path: Path) -> None:
    async with switch_in(tmp_path) as room:
        room.plan("a", {"until": "loaded"})
        loading = asked(room, "/switch/models/a/load", {})
        await room.until("a", lambda model: bool(model["stage"] == "loading" and model["waiting"] == 1))
        in_use = await room.client.post("/switch/models/a/unload")
        assert (in_use.status_code, in_use.json()["code"]) == (409, "conflict")
        await gone(loading)
        await room.until("a", lambda model: bool(model["waiting"] == 0))
        given_back = await room.client.post("/switch/models/a/unload")
        assert (given_back.status_code, given_back.json()["stage"]) == (200, "loading")
        room.let("loaded")
        await room.at_stage("a", "asleep")
        assert [event["why"] for event in room.events("model.unloaded")] == ["unloaded by request"]
        assert (await room.complete("a")).status_code == 200
