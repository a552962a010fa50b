"""Requests that wait: for a place, for a core, for memory, and not beyond their deadline."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from config.auth import Role
from config.deadline import HEADER
from tests.service.switch.conftest import Room, asking, switch_in
from tests.support.eventually import eventually


async def status(room: Room, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await room.client.get("/switch/queue/status", **more)).json()
    return found


async def counts(room: Room, in_use: int, waiting: int) -> dict[str, Any]:
    return await eventually(
        lambda: status(room), lambda queue: (queue["in_use"], queue["waiting"]) == (in_use, waiting)
    )


async def test_no_more_than_parallel_requests_are_inside_a_worker(tmp_path: Path) -> None:
    async with switch_in(tmp_path, parallel=2) as room:
        room.plan("a", {"holds": "more"})
        requests = [asking(room, "a", stream=True) for _ in range(5)]
        await counts(room, 2, 3)
        await room.logged("a", "request", times=2)
        assert len(room.log("a", "request")) == 2
        room.let("more")
        assert {answer.status_code for answer in await asyncio.gather(*requests)} == {200}
        assert (await status(room))["waiting"] == 0


async def test_a_full_model_and_a_loading_one_hold_up_no_other(tmp_path: Path) -> None:
    async with switch_in(tmp_path, parallel=1, cores=3) as room:
        room.plan("a", {"holds": "more"})
        room.plan("b", {"until": "loaded"})
        held = [asking(room, "a", stream=True), asking(room, "a", stream=True), asking(room, "b")]
        await counts(room, 1, 2)
        assert (await room.complete("c")).status_code == 200
        room.let("more")
        room.let("loaded")
        await asyncio.gather(*held)


async def test_as_many_models_compute_at_once_as_there_are_cores(tmp_path: Path) -> None:
    async with switch_in(tmp_path, cores=1) as room:
        room.plan("a", {"holds": "more"})
        busy = asking(room, "a", stream=True)
        await room.logged("a", "request")
        other = asking(room, "b")
        waiting = await room.until("b", lambda model: model["stage"] == "ready" and model["waiting"] == 1)
        assert (waiting["in_use"], room.log("b", "request")) == (0, [])
        room.let("more")
        assert {answer.status_code for answer in await asyncio.gather(busy, other)} == {200}


async def test_callers_see_their_own_requests_and_operators_all(tmp_path: Path) -> None:
    async with switch_in(tmp_path, parallel=1) as room:
        room.plan("a", {"holds": "more"})
        mine, ann = {"x-correlation-id": "corr-7"}, room.token(Role.USER)
        first = asking(room, "a", stream=True, headers=mine)
        await room.logged("a", "request")
        second = asking(room, "a", stream=True, headers=ann)
        seen = await counts(room, 1, 1)
        running, queued = seen["entries"]
        assert (running["state"], running["place"], running["correlation_id"]) == ("running", None, "corr-7")
        assert (queued["user"], queued["state"], queued["place"], queued["of"]) == ("ann", "queued", 1, 1)
        assert queued["seconds"] >= 0
        hers = await status(room, headers=ann)
        assert [entry["user"] for entry in hers["entries"]] == ["ann"]
        assert (hers["in_use"], hers["by_model"]) == (1, {"a": 1})
        room.let("more")
        await asyncio.gather(first, second)


async def test_a_stream_that_waits_is_told_its_place(tmp_path: Path) -> None:
    async with switch_in(tmp_path, parallel=1) as room:
        room.plan("a", {"holds": "more"})
        first = asking(room, "a", stream=True)
        await room.logged("a", "request")
        async with room.streaming("a") as answer:
            lines = answer.aiter_lines()
            told = json.loads((await anext(lines)).removeprefix(": vx11 "))
            assert (told["state"], told["place"], told["of"], told["progress"]) == ("queued", 1, 1, None)
            room.let("more")
            assert "data: [DONE]" in [line async for line in lines]
        await first


async def test_a_load_is_told_with_its_progress(tmp_path: Path) -> None:
    async with switch_in(tmp_path) as room:
        room.plan("a", {"until": "loaded"})
        async with room.streaming("a") as answer:
            lines = answer.aiter_lines()
            told = json.loads((await anext(lines)).removeprefix(": vx11 "))
            assert (told["state"], told["place"], told["progress"]) == ("loading", 1, 0.5)
            room.let("loaded")
            assert "data: [DONE]" in [line async for line in lines]


async def test_a_full_queue_says_when_to_come_back(tmp_path: Path) -> None:
    async with switch_in(tmp_path, parallel=1, max_waiting=2) as room:
        room.plan("a", {"tokens": 100, "seconds": 5.0}, {"tokens": 100, "seconds": 5.0})
        await room.complete("a")  # from now on it is known that one takes five seconds
        await room.client.post("/switch/models/a/unload")
        await room.at_stage("a", "asleep")
        room.plan("a", {}, {"holds": "more"})
        waiting = [asking(room, "a", stream=True) for _ in range(3)]
        await counts(room, 1, 2)
        refused = await room.complete("a")
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert 5 <= int(refused.headers["retry-after"]) <= 20
        room.let("more")
        await asyncio.gather(*waiting)


async def test_prompts_beyond_the_context_take_nobody_s_place(tmp_path: Path) -> None:
    """They count with what could be read of them, not with their megabytes."""
    async with switch_in(tmp_path, parallel=1, context_tokens=512, max_waiting_tokens=10_000) as room:
        room.plan("a", {"holds": "more"})
        messages = [{"role": "user", "content": "😀" * 20_000}]
        long = {"model": "a", "messages": messages, "max_tokens": 1, "stream": True}
        waiting = [asyncio.ensure_future(room.client.post("/v1/chat/completions", json=long)) for _ in range(5)]
        await counts(room, 1, 4)
        last = asking(room, "a", stream=True)
        await counts(room, 1, 5)
        room.let("more")
        assert {answer.status_code for answer in await asyncio.gather(*waiting, last)} == {200}


async def test_a_deadline_that_passes_while_waiting_ends_the_wait(tmp_path: Path) -> None:
    async with switch_in(tmp_path, parallel=1) as room:
        room.plan("a", {"holds": "more"})
        first = asking(room, "a", stream=True)
        await room.logged("a", "request")
        late = await room.complete("a", headers={HEADER: "5000"})
        assert (late.status_code, late.json()["code"]) == (504, "deadline_exceeded")
        await counts(room, 1, 0)
        room.let("more")
        await first
        assert len(room.log("a", "request")) == 1


async def test_a_deadline_that_a_load_would_pass_is_refused_at_once(room: Room) -> None:
    refused = await room.complete("a", headers={HEADER: "1"})
    assert (refused.status_code, refused.json()["code"]) == (504, "deadline_exceeded")
    assert room.starts("a") == 0


async def test_many_clients_on_more_models_than_fit_are_all_served(tmp_path: Path) -> None:
    async with switch_in(tmp_path, budget_mb=150, parallel=2) as room:
        answers = await asyncio.gather(*(room.complete("ab"[number % 2]) for number in range(40)))
        assert {answer.status_code for answer in answers} == {200}
        assert await status(room) == {"in_use": 0, "waiting": 0, "by_model": {}, "entries": []}
