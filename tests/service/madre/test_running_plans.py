"""Plans from their rows to their end: the real runner, scripted services, peers that count."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from config.app import every
from config.auth import Role
from config.contracts.plans import Risk, Status
from config.errors import Conflict
from config.services import FLEET
from madre.adapters.durable import Durable, own_url
from madre.plan import Plan
from madre.store import power
from madre.windows import Window
from tests.support.clock import ManualClock
from tests.support.drafts import window
from tests.support.eventually import eventually
from tests.support.house import house_in
from tests.support.plans import (
    Ledger,
    Peers,
    after,
    events_of,
    hermes_room,
    keep,
    kept,
    running_plan,
    spawner_room,
    switch_room,
    with_step,
)
from tests.support.power import Madre, ScriptedDriver, madre_in


@dataclass
class World:
    """Madre, the peers of her steps, and what they counted."""

    madre: Madre
    ledger: Ledger
    peers: Peers
    clock: ManualClock

    async def start(self, plan: Plan) -> None:
        """Have a plan run, as the flows do once its rows are there."""
        await asyncio.to_thread(keep, self.madre.house.db, plan)
        await self.runner.start(plan.plan_id)

    async def run(self, plan: Plan) -> Plan:
        """Have a plan run to its end."""
        await self.start(plan)
        return await self.ended(plan)

    async def seen(self, plan: Plan) -> Plan:
        """The plan as its rows are now."""
        return await asyncio.to_thread(kept, self.madre.house.db, plan.plan_id)

    async def ended(self, plan: Plan) -> Plan:
        """The plan once it is over."""
        return await eventually(partial(self.seen, plan), lambda seen: seen.status.is_over, within_sec=20)

    async def at(self, plan: Plan, number: int, status: Status) -> Plan:
        """The plan once one of its steps is so."""
        return await eventually(
            partial(self.seen, plan), lambda seen: seen.step(number).status is status, within_sec=20
        )

    @property
    def runner(self) -> Durable:
        """The runner, as madre was composed with it."""
        runner = self.madre.app.state.runner
        assert isinstance(runner, Durable)
        return runner

    async def rested(self) -> bool:
        """Whether DBOS is still up after one more of the rounds in which nothing may have run."""
        await self.runner.rest()
        return self.runner.is_launched

    async def windows(self) -> list[dict[str, Any]]:
        """All windows, newest first."""
        items: list[dict[str, Any]] = (await self.madre.get("windows"))["items"]
        return items


@asynccontextmanager
async def world_in(folder: Path, ledger: Ledger | None = None, **changes: Any) -> AsyncIterator[World]:
    """A house in `folder` whose hermes, spawner and switch are scripted, and keep time with a clock in the hand."""
    clock, ledger = ManualClock(), ledger or Ledger()
    driver = ScriptedDriver(clock)
    apps = {
        "hermes": hermes_room(house_in(folder, "hermes", clock=clock), ledger),
        "spawner": spawner_room(house_in(folder, "spawner", clock=clock), ledger),
        "switch": switch_room(house_in(folder, "switch", clock=clock), ledger),
    }
    peers = Peers(apps, driver.transport())
    async with madre_in(folder, clock=clock, driver=driver, transport=peers, **changes) as madre:
        yield World(madre, ledger, peers, clock)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


PYTHON = ("task.run_python", {"code": "print('hello')"})
NOTICE = ("comm.notify", {"message": "hello"})


async def test_a_plan_runs_step_by_step_and_its_rows_say_what_came_of_each(world: World) -> None:
    plan = await world.run(running_plan(NOTICE, PYTHON, ("plans.list", {})))
    assert plan.status is Status.DONE, plan.error
    assert [(step.status, step.attempts) for step in plan.steps] == [(Status.DONE, 1)] * 3
    assert plan.step(1).result == {"told": "hello"}
    assert (plan.step(2).result or {})["output"] == "hello\n"
    assert plan.step(3).result == {
        "plans": [{"plan_id": plan.plan_id, "status": "RUNNING", "text": "a sentence"}]
    }  # fmt: skip
    assert world.ledger.effects == {f"{plan.plan_id}:2": 1}
    assert events_of(world.madre.house.db, plan.plan_id) == [
        "comm.notice",
        "plan.step.done",
        "plan.step.started",
        "plan.step.done",
        "plan.step.done",
        "plan.done",
    ]


async def test_started_again_it_runs_once(world: World) -> None:
    plan = await world.run(running_plan(PYTHON))
    await world.runner.start(plan.plan_id)
    assert (await world.ended(plan)).step(1).attempts == 1
    assert world.ledger.asked == [("spawn", f"{plan.plan_id}:1")]


def is_up(world: World) -> bool:
    return world.runner.is_launched


async def test_nothing_of_dbos_is_there_until_a_plan_is_and_it_goes_when_none_runs(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        file = Path(own_url(world.madre.house.db.url).removeprefix("sqlite:///"))
        assert not is_up(world)
        assert not file.exists() or world.madre.house.db.url.startswith("postgresql")
        await world.run(running_plan(NOTICE))
        assert is_up(world)
        await eventually(world.rested, lambda launched: not launched)
        assert (await world.run(running_plan(NOTICE))).status is Status.DONE


async def test_a_plan_that_an_earlier_life_left_is_taken_up(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        world.ledger.looks = 1_000_000
        plan = running_plan(NOTICE, PYTHON, NOTICE)
        await world.start(plan)
        await eventually(partial(world.seen, plan), lambda seen: bool(seen.step(2).result))
    async with world_in(tmp_path) as world:
        world.ledger.jobs["spawn-00000001"] = 0
        ended = await world.ended(plan)
        assert ended.status is Status.DONE
        assert [step.attempts for step in ended.steps] == [1, 2, 1]
        assert world.ledger.asked == [], "the daughter that runs already is asked for by its name"


async def test_a_service_that_a_step_needs_is_held_for_it_and_let_go(world: World) -> None:
    world.ledger.looks = 1_000_000
    plan = running_plan(PYTHON, NOTICE)
    await world.start(plan)
    await eventually(partial(world.seen, plan), lambda seen: bool(seen.step(1).result))
    held = await eventually(world.windows, lambda windows: bool(windows) and windows[0]["state"] == "open")
    assert (held[0]["services"], held[0]["opened_by"]) == (["spawner"], f"plan:{plan.plan_id}")
    world.ledger.jobs["spawn-00000001"] = 0
    assert (await world.ended(plan)).windows == ()
    await eventually(world.windows, lambda windows: windows[0]["state"] == "closed")
    assert await world.madre.state_of("spawner") == "asleep"


async def test_a_window_of_somebody_else_stays(world: World) -> None:
    await world.madre.open("spawner")
    assert (await world.run(running_plan(PYTHON))).status is Status.DONE
    assert await world.madre.state_of("spawner") == "ready"


async def test_one_window_serves_steps_that_follow_each_other(world: World) -> None:
    world.ledger.enabled["m"] = False
    plan = await world.run(running_plan(("models.list", {}), NOTICE, ("models.enable", {"model": "m"}), PYTHON))
    assert plan.status is Status.DONE
    assert sorted(window["services"][0] for window in await world.windows()) == ["hermes", "spawner"]


async def test_a_step_that_fails_ends_the_plan_and_what_can_be_is_taken_back(world: World) -> None:
    world.ledger.enabled["m"] = False
    plan = await world.run(
        running_plan(
            ("models.enable", {"model": "m"}),
            ("power.open_window", {"services": ["hermes"]}),
            ("models.enable", {"model": "unknown"}),
            NOTICE,
        )
    )
    assert plan.status is Status.ERROR
    assert plan.error is not None
    assert plan.error.code == "not_found"
    assert [step.status for step in plan.steps] == [Status.DONE, Status.DONE, Status.ERROR, Status.CANCELLED]
    assert [step.undone_at is not None for step in plan.steps] == [True, True, False, False]
    assert world.ledger.enabled == {"m": False}
    await eventually(world.windows, lambda windows: all(window["state"] == "closed" for window in windows))


async def test_what_was_so_before_the_step_is_not_taken_back(world: World) -> None:
    world.ledger.enabled["m"] = True
    plan = await world.run(running_plan(("models.enable", {"model": "m"}), ("models.enable", {"model": "unknown"})))
    assert plan.step(1).undone_at is None
    assert (world.ledger.enabled, world.ledger.patched) == ({"m": True}, [])


async def test_cancelled_the_step_that_runs_is_cut_short_and_no_other_begins(world: World) -> None:
    world.ledger.looks, world.ledger.enabled["m"] = 1_000_000, False
    plan = running_plan(("models.enable", {"model": "m"}), PYTHON, NOTICE)
    await world.start(plan)
    await eventually(partial(world.seen, plan), lambda seen: bool(seen.step(2).result))
    await world.runner.cancel(plan.plan_id)
    ended = await world.ended(plan)
    assert ended.status is Status.CANCELLED
    assert [step.status for step in ended.steps] == [Status.DONE, Status.CANCELLED, Status.CANCELLED]
    assert world.ledger.killed == ["spawn-00000001"], "the daughter does not run on"
    assert world.ledger.enabled == {"m": False}
    await eventually(world.windows, lambda windows: all(window["state"] == "closed" for window in windows))


async def test_a_step_whose_condition_was_not_found_is_not_done(world: World) -> None:
    plan = running_plan(("db.sanity", {}), NOTICE, PYTHON)
    plan = await world.run(with_step(plan, 2, condition="problems"))
    assert plan.status is Status.DONE
    assert [step.status for step in plan.steps] == [Status.DONE, Status.CANCELLED, Status.DONE]


async def test_a_step_waits_for_its_moment_and_can_be_cancelled_meanwhile(world: World) -> None:
    soon, late = running_plan(NOTICE), running_plan(NOTICE)
    await world.start(with_step(soon, 1, not_before=after(3600)))
    await world.start(with_step(late, 1, not_before=after(7200)))
    await world.at(soon, 1, Status.WAITING)
    await world.at(late, 1, Status.WAITING)
    await world.runner.cancel(late.plan_id)
    assert (await world.ended(late)).status is Status.CANCELLED
    assert (await world.seen(soon)).status is Status.RUNNING


async def test_a_plan_that_waits_is_in_nobodys_hand_and_goes_on_when_its_hour_has_come(world: World) -> None:
    plan = running_plan(NOTICE, NOTICE, NOTICE)
    await world.start(with_step(plan, 2, not_before=after(3600)))
    await world.at(plan, 2, Status.WAITING)
    await eventually(partial(asyncio.to_thread, world.runner.in_hand), lambda names: names == frozenset())
    world.clock.advance(3601)
    await world.start(running_plan(NOTICE))  # it looks at all of them then, as it does every half minute
    ended = await world.ended(plan)
    assert ended.status is Status.DONE
    assert [step.attempts for step in ended.steps] == [1, 1, 1]


async def test_a_plan_that_a_stop_finds_between_its_steps_goes_on_in_the_next_life(tmp_path: Path) -> None:
    plan = running_plan(*[NOTICE] * 20)
    async with world_in(tmp_path) as world:
        await world.start(plan)
        await world.at(plan, 2, Status.DONE)
    async with world_in(tmp_path) as world:
        ended = await world.ended(plan)
    assert ended.status is Status.DONE, ended.error
    assert [step.attempts for step in ended.steps] == [1] * 20


async def test_what_is_said_in_any_alphabet_fits_into_its_event(world: World) -> None:
    world.ledger.ends, world.ledger.says = "ERROR", "😀" * 400
    plan = await world.run(running_plan(("comm.notify", {"message": "ñ😀" * 500}), PYTHON))
    assert plan.step(1).result == {"told": "ñ😀" * 500}
    assert plan.error is not None
    assert "😀" * 400 in plan.error.detail
    assert events_of(world.madre.house.db, plan.plan_id)[-2:] == ["plan.step.failed", "plan.error"]


async def test_a_peer_that_is_away_for_a_moment_is_asked_again_with_the_same_key(world: World) -> None:
    asked = 0

    def goes_away(what: str, key: str) -> None:
        nonlocal asked
        if what == "spawned" and (asked := asked + 1) == 1:
            raise RuntimeError("its answer was lost")

    world.ledger.moment = goes_away
    plan = await world.run(running_plan(PYTHON))
    assert plan.status is Status.ERROR, "what a peer does not know is no moment's absence"
    world.peers.away.add(FLEET["spawner"].port)

    async def back() -> None:
        if world.peers.away and world.ledger.asked:
            world.peers.away.clear()

    async with every(0.05, back, name="back")():
        ended = await world.run(running_plan(PYTHON))
    assert ended.status is Status.DONE
    assert world.ledger.effects[f"{ended.plan_id}:1"] == 1


def held_by(user: str, *services: str) -> Window:
    """A window that this user holds open, and that therefore ends after all leases."""
    return window(f"w-{user}", *services, by=user, mode="hold")


async def opened(world: World, *held: Window) -> None:
    for one in held:
        await world.madre.house.db.writing(power.keep_window, one)


async def states(world: World) -> dict[str, str]:
    return {one["opened_by"]: one["state"] for one in await world.windows()}


@pytest.mark.parametrize("told", [{}, {"services": ["hermes"]}])
async def test_the_window_is_none_that_somebody_else_opened_since_nor_a_requests_lease(
    world: World, told: dict[str, Any]
) -> None:
    await world.madre.wake("hermes")
    await opened(world, held_by("otto", "hermes"))
    plan = await world.run(running_plan(("power.close_window", told)))
    assert plan.error is not None
    assert (plan.error.code, "meant only by its id" in plan.error.detail) == ("not_found", True)
    assert await states(world) == {"otto": "open", "wake": "open"}


async def test_the_window_is_ones_own_or_one_that_the_plan_was_judged_by(world: World) -> None:
    close = running_plan(("power.close_window", {}))
    await opened(world, held_by("otto", "hermes"), held_by("ana", "spawner"))
    assert (await world.run(close)).step(1).status is Status.DONE
    await eventually(partial(states, world), lambda seen: seen == {"otto": "open", "ana": "closed"})
    judged = replace(running_plan(("power.close_window", {})), observed={"window w-otto": "hold on hermes"})
    assert (await world.run(judged)).step(1).status is Status.DONE
    await eventually(partial(states, world), lambda seen: seen == {"otto": "closed", "ana": "closed"})


async def test_a_plan_has_the_rights_of_whom_it_is_for(world: World) -> None:
    world.ledger.enabled["m"] = False
    plan = await world.run(running_plan(("models.enable", {"model": "m"}), role=Role.USER))
    assert plan.error is not None
    assert plan.error.code == "role_required"


async def test_an_absent_room_says_so(world: World) -> None:
    plan = await world.run(running_plan(("audio.analyze", {"path": "a.wav"})))
    assert plan.error is not None
    assert plan.error.code == "service_absent"


async def test_what_could_not_be_taken_back_is_not_tried_again_of_a_plan_that_is_over(world: World) -> None:
    """The runner may find a plan once more that came to its end between two of its looks."""
    world.ledger.enabled["m"] = False
    failing = running_plan(("models.enable", {"model": "m"}), ("models.enable", {"model": "unknown"}))

    def refuses(what: str, _key: str) -> None:
        if what == "patch" and world.ledger.enabled["m"]:
            raise Conflict("not now")

    world.ledger.moment = refuses
    ended = await world.run(failing)
    assert (ended.status, ended.step(1).undone_at) == (Status.ERROR, None)
    world.ledger.moment = lambda _what, _key: None
    work = world.runner._work
    assert await asyncio.to_thread(work.begin, ended.plan_id) == []
    assert await asyncio.to_thread(work.to_undo, ended.plan_id) == []


async def test_plans_run_side_by_side(world: World) -> None:
    made = [running_plan(NOTICE, PYTHON, NOTICE) for _ in range(8)]
    for plan in made:
        await world.start(plan)
    assert {(await world.ended(plan)).status for plan in made} == {Status.DONE}
    assert set(world.ledger.effects.values()) == {1}
    assert {step.risk for plan in made for step in plan.steps} == {Risk.LOW, Risk.MED}


def test_madre_does_not_import_dbos_to_begin() -> None:
    """In a process of its own, because this one has run plans."""
    import subprocess

    code = "import madre.app, sys; sys.exit('dbos' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
