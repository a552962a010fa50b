"""A prompt that a step of a plan put into a real Switch: nobody reads its answer once the step was cancelled, and it
is not computed; madre's next life does, and it is computed once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.contracts.plans import Status
from config.db_schema import SwitchQueueV2
from config.services import FLEET
from madre.plan import Plan
from tests.service.madre.test_running_plans import World, world_in
from tests.service.switch.conftest import MODEL_MB, Room, switch_in
from tests.support.clock import ManualClock
from tests.support.eventually import eventually
from tests.support.plans import NOW, running_plan, with_step

ASK = ("switch.ask", {"prompt": "write a poem", "model": "a"})


class Wire(httpx.AsyncBaseTransport):
    """Switch on its real socket; while it is `mute`, what it answers to a prompt that is put is not heard."""

    def __init__(self, url: httpx.URL) -> None:
        self._url = url
        self._sockets = httpx.AsyncHTTPTransport()
        self.mute = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(host=self._url.host, port=self._url.port)
        response = await self._sockets.handle_async_request(request)
        if self.mute and request.url.path == "/switch/task" and "x-vx11-if-begun" not in request.headers:
            await asyncio.Event().wait()
        return response

    async def aclose(self) -> None:
        await self._sockets.aclose()


@dataclass
class Two:
    """Madre, and the Switch that her steps ask."""

    world: World
    switch: Room
    wire: Wire

    async def states(self) -> list[str]:
        """How the tasks of Switch stand, oldest first."""
        rows = await asyncio.to_thread(self.switch.rows, SwitchQueueV2)
        return [row.state for row in sorted(rows, key=lambda row: (row.attempts == 0, row.id))]

    async def are(self, *states: str) -> None:
        await eventually(self.states, lambda seen: seen == list(states))

    async def cancelled(self, plan: Plan) -> Plan:
        """The plan, once it was cancelled and is over."""
        await self.world.runner.cancel(plan.plan_id)
        ended = await self.world.ended(plan)
        assert (ended.status, ended.step(1).status) == (Status.CANCELLED, Status.CANCELLED)
        return ended


@asynccontextmanager
async def madre_of(folder: Path, switch: Room) -> AsyncIterator[Two]:
    """One life of madre beside a Switch that was there before."""
    wire = Wire(switch.client.base_url)
    async with world_in(folder) as world:
        world.peers.reached_by(FLEET["switch"].port, wire)
        yield Two(world, switch, wire)
    await wire.aclose()


@asynccontextmanager
async def a_switch(folder: Path, **more: Any) -> AsyncIterator[Room]:
    """One that answers a task at a time, and none to its end before the test lets it."""
    async with switch_in(folder, clock=ManualClock(), parallel_tasks=1, **more) as room:
        room.plan("a", {"holds": "let"})
        yield room


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    async with a_switch(tmp_path) as switch, madre_of(tmp_path, switch) as made:
        yield made


async def test_cancelled_while_it_is_being_answered_it_is_computed_no_further(two: Two) -> None:
    plan = running_plan(ASK)
    await two.world.start(plan)
    await two.switch.logged("a", "request")
    await two.cancelled(plan)
    await two.switch.logged("a", "gone")
    await two.are("CANCELLED")


async def test_cancelled_while_it_waits_it_is_never_begun(two: Two) -> None:
    first, second = running_plan(ASK), running_plan(ASK)
    await two.world.start(first)
    await two.are("RUNNING")
    await two.world.start(second)
    await two.are("RUNNING", "QUEUED")
    await two.cancelled(second)
    two.switch.let("let")
    assert ((await two.world.ended(first)).step(1).result or {})["reply"] == "012"
    await two.are("DONE", "CANCELLED")
    assert len(two.switch.log("a", "request")) == 1


async def test_cancelled_before_it_has_a_name_here(two: Two) -> None:
    two.wire.mute = True
    plan = running_plan(ASK)
    await two.world.start(plan)
    await two.switch.logged("a", "request")
    assert (await two.cancelled(plan)).step(1).result is None
    await two.switch.logged("a", "gone")
    await two.are("CANCELLED")


async def test_when_madre_ends_it_goes_on_and_her_next_life_reads_it(tmp_path: Path) -> None:
    plan = running_plan(ASK)
    async with a_switch(tmp_path) as switch:
        async with madre_of(tmp_path, switch) as two:
            await two.world.start(plan)
            await eventually(partial(two.world.seen, plan), lambda seen: bool(seen.step(1).result))
            await switch.logged("a", "request")
        switch.let("let")
        async with madre_of(tmp_path, switch) as two:
            ended = await two.world.ended(plan)
            await two.are("DONE")
        assert (ended.status, ended.step(1).attempts) == (Status.DONE, 2)
        assert (ended.step(1).result or {})["reply"] == "012"
        assert len(switch.log("a", "request")) == 1


async def test_killed_before_it_had_a_name_the_next_life_reads_the_same_one(tmp_path: Path) -> None:
    plan = running_plan(ASK)
    async with a_switch(tmp_path) as switch:
        async with madre_of(tmp_path, switch) as two:
            two.wire.mute = True
            await two.world.start(plan)
            await switch.logged("a", "request")
        switch.let("let")
        async with madre_of(tmp_path, switch) as two:
            ended = await two.world.ended(plan)
            await two.are("DONE")
        assert ((ended.step(1).result or {})["reply"], len(switch.log("a", "request"))) == ("012", 1)


async def test_one_that_is_long_forgotten_goes_on_nowhere(two: Two) -> None:
    noted = with_step(running_plan(ASK), 1, status=Status.RUNNING, attempts=1, result={"task_id": "task-0"})
    ended = await two.world.run(replace(noted, cancel_asked_at=NOW))
    assert (ended.status, ended.step(1).result) == (Status.CANCELLED, {"task_id": "task-0"})


async def test_a_load_that_waits_for_memory_waits_no_more(tmp_path: Path) -> None:
    plan = running_plan(("models.load", {"model": "b"}))
    async with a_switch(tmp_path, budget_mb=MODEL_MB) as switch, madre_of(tmp_path, switch) as two:
        busy = asyncio.ensure_future(switch.complete("a", stream=True))
        await switch.logged("a", "request")
        await two.world.start(plan)
        await switch.until("b", lambda model: bool(model["waiting"] == 1))
        await two.cancelled(plan)
        await switch.until("b", lambda model: bool(model["waiting"] == 0))
        switch.let("let")
        assert (await busy).status_code == 200
        assert (await switch.complete("c")).status_code == 200
        assert switch.starts("b") == 0


LOAD = ("models.load", {"model": "b"})


async def test_a_load_under_way_is_dropped_and_the_cancel_waits_for_no_end_of_it(tmp_path: Path) -> None:
    plan = running_plan(LOAD)
    async with a_switch(tmp_path) as switch, madre_of(tmp_path, switch) as two:
        switch.plan("b", {"until": "loaded"})
        await two.world.start(plan)
        await switch.until("b", lambda model: bool(model["stage"] == "loading" and model["waiting"] == 1))
        await two.cancelled(plan)
        assert (await switch.model("b"))["stage"] == "loading"
        switch.let("loaded")
        await switch.at_stage("b", "asleep")


async def test_a_load_that_others_wait_for_is_theirs(tmp_path: Path) -> None:
    plan = running_plan(LOAD)
    async with a_switch(tmp_path) as switch, madre_of(tmp_path, switch) as two:
        switch.plan("b", {"until": "loaded"})
        await two.world.start(plan)
        await switch.until("b", lambda model: bool(model["stage"] == "loading" and model["waiting"] == 1))
        other = asyncio.ensure_future(switch.complete("b"))
        await switch.until("b", lambda model: bool(model["waiting"] == 2))
        ended = await two.cancelled(plan)
        assert "may_go_on" not in (ended.step(1).result or {})
        switch.let("loaded")
        assert (await other).status_code == 200
        assert (await switch.model("b"))["stage"] == "ready"


async def test_a_load_whose_model_others_use_by_now_is_left_to_them(tmp_path: Path) -> None:
    """Madre died while it loaded, and comes back to a cancelled plan."""
    begun = with_step(running_plan(LOAD), 1, status=Status.RUNNING, attempts=1, result={"before": False})
    async with a_switch(tmp_path) as switch, madre_of(tmp_path, switch) as two:
        switch.plan("b", {"holds": "let"})
        busy = asyncio.ensure_future(switch.complete("b", stream=True))
        await switch.logged("b", "request")
        ended = await two.world.run(replace(begun, cancel_asked_at=NOW))
        assert (ended.status, ended.step(1).result) == (Status.CANCELLED, {"before": False})
        switch.let("let")
        assert (await busy).status_code == 200
        assert (await switch.model("b"))["stage"] == "ready"
