"""What a step that was cut short, or failed, has begun does not go on, whenever that happened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from config import deadline
from config.contracts.plans import Status
from config.contracts.spawning import Spawned
from config.errors import Conflict, Unavailable, Waking
from config.services import FLEET
from madre.actions import action_named
from madre.flows.executors.opening import OpeningActs
from madre.flows.executors.order import Order
from madre.flows.executors.spawner import _order
from madre.flows.steps import caller_of
from madre.plan import Plan
from madre.runner import effect_key
from tests.service.madre.test_running_plans import World, world_in
from tests.support.eventually import eventually
from tests.support.plans import NOW, Ledger, keep, running_plan, with_step

PYTHON = ("task.run_python", {"code": "print('hello')"})
PULL = ("models.pull", {"model": "smollm2"})
HOLD = ("power.open_window", {"services": ["hermes"], "mode": "hold"})
ALONE = [(PYTHON, "spawn", "spawn-00000001"), (PULL, "pull", "job-1")]
each = pytest.mark.parametrize(("told", "what", "name"), ALONE)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path, allow_service_control=True) as made:
        made.ledger.looks = 1_000_000
        yield made


def order_of(plan: Plan) -> Order:
    """What an executor is given for the plan's first step, with nothing of it kept."""
    action = action_named(plan.step(1).action)
    told = action.arguments.model_validate(dict(plan.step(1).arguments))
    key = effect_key(plan.plan_id, 1)
    return Order(plan.plan_id, 1, action, told, caller_of(plan), key, attempt=1, session_id=None)


async def jobs_of(world: World) -> dict[str, int]:
    return dict(world.ledger.jobs)


async def cancelled(world: World, plan: Plan) -> Plan:
    await world.runner.cancel(plan.plan_id)
    ended = await world.ended(plan)
    assert ended.status is Status.CANCELLED, ended.error
    assert ended.step(1).status is Status.CANCELLED
    return ended


@each
async def test_cancelled_before_a_peer_has_answered(world: World, told: Any, what: str, name: str) -> None:
    world.ledger.silence = asyncio.Event()
    plan = running_plan(told)
    await world.start(plan)
    await eventually(partial(jobs_of, world), lambda jobs: name in jobs)
    assert (await cancelled(world, plan)).step(1).result is None, "its name was never heard"
    assert world.ledger.killed == [name]
    assert world.ledger.effects == {f"{plan.plan_id}:1": 1}


@each
async def test_cancelled_while_nobody_was_there_to_cut_it_short(
    tmp_path: Path, told: Any, what: str, name: str
) -> None:
    """Madre died after a peer had begun it and before its name was noted, and found it cancelled when she came back."""
    ledger = Ledger(looks=1_000_000, silence=asyncio.Event())
    plan = running_plan(told)
    async with world_in(tmp_path, ledger) as world:
        await world.start(plan)
        await eventually(partial(jobs_of, world), lambda jobs: name in jobs)
        asked_to_end = replace(await world.seen(plan), cancel_asked_at=NOW)
        await asyncio.to_thread(keep, world.madre.house.db, asked_to_end)
    ledger.asked.clear()
    async with world_in(tmp_path, ledger) as world:
        ended = await world.ended(plan)
    assert (ended.status, ended.step(1).status) == (Status.CANCELLED, Status.CANCELLED)
    assert ledger.asked == [(f"{what}?", f"{plan.plan_id}:1")]
    assert ledger.killed == [name]


async def test_what_no_peer_has_begun_is_begun_by_no_question(world: World) -> None:
    """Madre died before she asked, or her question never arrived: it is given up, and does nothing when it comes."""
    plan = running_plan(PYTHON)
    begun = with_step(plan, 1, status=Status.RUNNING, attempts=1, started_at=NOW)
    ended = await world.run(replace(begun, cancel_asked_at=NOW))
    assert ended.status is Status.CANCELLED
    assert world.ledger.asked == [("spawn?", f"{plan.plan_id}:1")]
    late = world.madre.house.clients.peer("spawner")
    with pytest.raises(Conflict, match="given up"):
        await late.post(
            "/spawn", _order(order_of(plan)), answer=Spawned, on_behalf=caller_of(plan), key=effect_key(plan.plan_id, 1)
        )
    assert (world.ledger.effects, world.ledger.jobs) == ({}, {})


async def test_cancelled_before_a_peer_was_asked_nobody_is_asked(world: World) -> None:
    world.madre.driver.script("spawner").becomes_ready = False
    plan = running_plan(PYTHON)
    await world.start(plan)
    await world.at(plan, 1, Status.RUNNING)
    await cancelled(world, plan)
    assert world.ledger.asked == []


@each
async def test_a_step_that_fails_leaves_nothing_going_on(world: World, told: Any, what: str, name: str) -> None:
    def breaks(moment: str, _key: str) -> None:
        if moment == "look":
            world.ledger.moment = lambda _what, _key: None
            raise RuntimeError("a bug of the peer's")

    world.ledger.moment = breaks
    ended = await world.run(running_plan(told))
    assert (ended.status, ended.step(1).status) == (Status.ERROR, Status.ERROR)
    assert world.ledger.killed == [name]


async def test_what_ended_by_itself_is_not_ended_again(world: World) -> None:
    world.ledger.looks, world.ledger.ends = 0, "ERROR"
    assert (await world.run(running_plan(PYTHON))).status is Status.ERROR
    assert world.ledger.killed == []


async def test_a_download_that_somebody_else_had_begun_goes_on(world: World) -> None:
    world.ledger.begun_by = "somebody-else"
    plan = running_plan(PULL)
    await world.start(plan)
    await eventually(partial(world.seen, plan), lambda seen: bool(seen.step(1).result))
    await cancelled(world, plan)
    assert world.ledger.killed == []


async def test_that_it_could_not_be_ended_is_said(world: World) -> None:
    plan = running_plan(PYTHON)
    await world.start(plan)
    await eventually(partial(world.seen, plan), lambda seen: bool(seen.step(1).result))
    world.peers.away.add(FLEET["spawner"].port)
    ended = await cancelled(world, plan)
    assert ended.step(1).result == {"task_id": "spawn-00000001", "may_go_on": "spawner cannot be reached."}


async def test_a_peer_may_be_away_again_and_again_for_as_long_as_the_step_gets_on(world: World) -> None:
    looks = 0

    def away_every_other_time(moment: str, _key: str) -> None:
        nonlocal looks
        looks += moment == "look"
        if moment == "look" and looks % 2:
            raise Unavailable("for a moment")

    world.ledger.looks, world.ledger.moment = 6, away_every_other_time
    ended = await world.run(running_plan(PYTHON))
    assert ended.status is Status.DONE, ended.error
    assert looks > 2 * 4
    assert world.ledger.asked == [("spawn", f"{ended.plan_id}:1")]


async def test_one_that_stays_away_ends_the_step(world: World) -> None:
    def away(moment: str, _key: str) -> None:
        if moment == "look":
            raise Unavailable("for good")

    world.ledger.moment = away
    ended = await world.run(running_plan(PYTHON))
    assert ended.error is not None
    assert ended.error.code == "unavailable"


async def test_a_window_that_was_opening_closes(world: World) -> None:
    world.madre.driver.script("hermes").becomes_ready = False
    plan = running_plan(HOLD)
    await world.start(plan)
    await eventually(world.windows, bool)
    await cancelled(world, plan)
    await eventually(world.windows, lambda windows: [window["state"] for window in windows] == ["closed"])
    assert await world.madre.state_of("hermes") == "asleep"


async def test_a_window_that_was_there_before_stays(world: World) -> None:
    other = running_plan(HOLD)
    await world.run(other)
    world.madre.driver.script("hermes").becomes_ready = False
    await eventually(partial(world.madre.state_of, "hermes"), lambda state: state == "unready")
    plan = running_plan(HOLD)
    await world.start(plan)
    await eventually(partial(world.seen, plan), lambda seen: bool(seen.step(1).result))
    await cancelled(world, plan)
    assert [window["state"] for window in await world.windows()] == ["open"]


async def test_a_service_that_was_starting_is_let_go(world: World) -> None:
    world.madre.driver.script("hermes").becomes_ready = False
    plan = running_plan(("service.start", {"service": "hermes"}))
    await world.start(plan)
    await eventually(world.windows, bool)
    await cancelled(world, plan)
    await eventually(world.windows, lambda windows: [window["state"] for window in windows] == ["closed"])


async def test_a_service_that_would_not_start_is_no_success(world: World) -> None:
    world.madre.driver.look_sec = 0.05  # a service that dies is tried again after a while
    world.madre.driver.script("hermes").dies_at_once = True
    world.madre.driver.script("hermes").last_words = "no such file"
    ended = await world.run(running_plan(("service.start", {"service": "hermes"})))
    assert ended.error is not None
    assert (ended.error.code, "no such file" in ended.error.detail) == ("start_failed", True)


async def test_services_that_are_not_up_yet_are_no_success(world: World) -> None:
    world.madre.driver.script("hermes").becomes_ready = False
    power = world.madre.app.state.flows
    acts = OpeningActs(world.madre.house, power, power.windows._reconciler)
    plan = running_plan(HOLD)
    order = order_of(plan)
    with deadline.arrived(b"200"), pytest.raises(Waking, match="hermes did not come up in time"):
        await acts.open(order)
    await acts.close_opened(order)
    assert [window["state"] for window in await world.windows()] == ["closed"]


async def test_a_model_that_was_being_enabled_is_as_it_was(world: World) -> None:
    world.ledger.silence, world.ledger.enabled["m"] = asyncio.Event(), False
    plan = running_plan(("models.enable", {"model": "m"}))
    await world.start(plan)
    await eventually(partial(patched, world), bool)
    await world.runner.cancel(plan.plan_id)
    world.ledger.silence.set()
    assert (await world.ended(plan)).status is Status.CANCELLED
    assert world.ledger.patched == [("m", True), ("m", False)]


async def patched(world: World) -> list[tuple[str, bool]]:
    return list(world.ledger.patched)


async def loaded(world: World) -> list[str]:
    return list(world.ledger.loaded)


async def test_a_model_that_was_being_loaded_gives_its_memory_back(world: World) -> None:
    world.ledger.silence = asyncio.Event()
    plan = running_plan(("models.load", {"model": "m"}))
    await world.start(plan)
    await eventually(partial(loaded, world), bool)
    await cancelled(world, plan)
    assert world.ledger.loaded == []


async def test_a_model_that_was_loaded_before_stays_in_memory(world: World) -> None:
    world.ledger.silence, world.ledger.loaded = asyncio.Event(), ["m"]
    plan = running_plan(("models.load", {"model": "m"}))
    await world.start(plan)
    await eventually(partial(loaded, world), lambda names: len(names) == 2)
    await cancelled(world, plan)
    assert world.ledger.loaded == ["m", "m"]
