"""What a step does about a peer that cannot be had, or that says something is in the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from config.errors import Conflict, PeerTimeout, StillAtWork, Unavailable, VX11Error
from config.services import CORE
from madre.flows.effects import Effects, Outcome
from madre.flows.executors.order import Executor, Order, Result
from madre.flows.plan_windows import PlanWindows
from tests.service.madre.test_cut_short import order_of
from tests.service.madre.test_running_plans import World, world_in
from tests.support.plans import running_plan

SOON = 0.001  # what the peer says when to ask again
Says = Callable[[], VX11Error]


def away() -> VX11Error:
    return Unavailable("It cannot be reached.", retry_after_sec=SOON)


def slow() -> VX11Error:
    return PeerTimeout("It did not answer.", retry_after_sec=SOON)


def in_use() -> VX11Error:
    return Conflict("Somebody uses it.", retry_after_sec=SOON)


def at_work() -> VX11Error:
    return StillAtWork("The first request is still at work.", retry_after_sec=SOON)


def refused() -> VX11Error:
    return Conflict("It is over.")


class Peer:
    """It says these things, one a try, then does what it is asked; each try takes so many seconds."""

    def __init__(self, world: World, *says: Says, takes_sec: float = 1.0) -> None:
        self._world = world
        self._says = list(says)
        self._takes_sec = takes_sec

    @property
    def left(self) -> int:
        """What it was not asked often enough to say."""
        return len(self._says)

    async def act(self, _order: Order) -> Result:
        self._world.clock.advance(self._takes_sec)
        if self._says:
            says = self._says.pop(0)
            raise says()
        return {"done": True}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


async def outcome(world: World, peer: Peer) -> Outcome:
    """How a step of this peer ends."""
    flows = world.madre.app.state.flows
    effects = Effects(world.madre.house, PlanWindows(world.madre.house, flows.windows._reconciler))
    order = order_of(running_plan(("comm.notify", {"message": "x"})))
    executor = Executor(peer.act, needs=tuple(CORE))
    async with effects.running():
        return await asyncio.to_thread(effects.bring_about, order, executor)


@pytest.mark.parametrize(
    "says",
    [
        [away] * 3,
        [slow, away, slow],
        [in_use] * 6 + [away] * 3,
        [at_work] * 6 + [away],
        [away] * 3 + [in_use] + [away] * 3,
        [away] * 3 + [at_work] * 40 + [away] * 3,
        [at_work] * 400,
        [in_use] * 200 + [away] + [in_use] * 200,
    ],
    ids=lambda says: f"{len(says)} times, {says[0].__name__} first",
)
async def test_a_trouble_that_passes_is_waited_for(world: World, says: list[Says]) -> None:
    assert (await outcome(world, Peer(world, *says))).result == {"done": True}


@pytest.mark.parametrize(
    ("says", "code", "left"),
    [
        ([away] * 9, "unavailable", 5),
        ([slow, away] * 9, "unavailable", 14),
        ([refused] * 9, "conflict", 8),
        ([in_use] * 3 + [away] * 9, "unavailable", 5),
        ([in_use] * 400, "conflict", 99),
        ([away, at_work] * 9, "unavailable", 11),
    ],
    ids=["away", "slow or away", "over", "in use, then away", "in use for five minutes", "dies of each try"],
)
async def test_one_that_does_not_pass_ends_the_step(world: World, says: list[Says], code: str, left: int) -> None:
    peer = Peer(world, *says)
    ended = await outcome(world, peer)
    assert ended.fault is not None
    assert (ended.fault.code, peer.left) == (code, left)
