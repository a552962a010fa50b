"""kill -9 of madre at every boundary of a plan's steps, in the middle of their effects, and at any moment at all.

Madre is the real one, in a process of her own; the peers whom steps ask live in this one, so they outlive her and
count. What must hold, however often she is killed: each effect was made once, no step that had finished was asked for
again, each step says once that it is done, and nothing is left open.
"""

from __future__ import annotations

import asyncio
import operator
import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from config.contracts.plans import Status
from madre.plan import Plan
from tests.support.eventually import eventually
from tests.support.lives import STRIDE, Madre, commits, madre_in
from tests.support.plans import events_of, keep, kept, running_plan

_PLAN_SEC = 60.0


def long_plan() -> Plan:
    """Effects in madre's own rows, at peers with a key, in madre's own flows; the last one is undone with nothing."""
    return running_plan(
        ("comm.notify", {"message": "begun"}),
        ("task.run_python", {"code": "print('hello')"}),
        ("models.pull", {"model": "smollm2"}),
        ("power.open_window", {"services": ["hermes"], "ttl_sec": 900}),
        ("comm.notify", {"message": "done"}),
    )


def failing_plan() -> Plan:
    """The last step cannot be done, so the two before it are taken back."""
    return running_plan(
        ("models.enable", {"model": "smollm2"}),
        ("power.open_window", {"services": ["hermes"], "ttl_sec": 900}),
        ("models.enable", {"model": "unknown-model"}),
    )


def must_be_exact(mortal: Madre, plan: Plan) -> None:
    """All of `long_plan` happened once."""
    ended = kept(mortal.db, plan.plan_id)
    assert ended.status is Status.DONE, ended.error
    assert [step.status for step in ended.steps] == [Status.DONE] * 5
    assert [mortal.ledger.effects[f"{plan.plan_id}:{number}"] for number in (2, 3)] == [1, 1]
    assert mortal.repeated == []
    told = Counter(events_of(mortal.db, plan.plan_id))
    assert (told["plan.step.done"], told["plan.done"], told["comm.notice"]) == (5, 1, 2)
    mortal.must_have_let_go(plan)
    assert len([row for row in mortal.windows_of(plan.user) if row.state == "open"]) == 1, "one and the same is renewed"


async def die_before_each_commit(
    mortal: Madre, draw_up: Callable[[], Plan], must_hold: Callable[[Madre, Plan], None]
) -> int:
    """One plan for each commit that a life makes while it carries it out: madre dies before that one, and then lives.

    How often a plan was under way when she died.
    """
    cut_short = 0
    for commit in commits():
        plan = draw_up()
        await asyncio.to_thread(keep, mortal.db, plan)
        await mortal.be_born(commit)
        died = await mortal.dies_or_is_done(plan.plan_id)
        if died:
            cut_short += kept(mortal.db, plan.plan_id).status is Status.RUNNING
            await mortal.be_born()
            await mortal.comes_to_an_end(plan.plan_id)
            await mortal.die()
        await asyncio.to_thread(must_hold, mortal, plan)
        if not died:
            return cut_short
    raise AssertionError("a count ended")


@pytest.mark.timeout(600)
async def test_killed_before_every_commit_of_a_plan(tmp_path: Path) -> None:
    """Of one that is done, and of one that fails and is taken back; on PostgreSQL, every fourth."""
    async with madre_in(tmp_path / "done") as one, madre_in(tmp_path / "undone") as other:
        other.ledger.enabled = {"smollm2": False}
        kills = await asyncio.gather(
            die_before_each_commit(one, long_plan, must_be_exact),
            die_before_each_commit(other, failing_plan, must_be_taken_back),
        )
    assert min(kills) * STRIDE >= 10, kills
    assert sum(kills) * STRIDE >= 40, kills


def must_be_taken_back(mortal: Madre, plan: Plan) -> None:
    """`failing_plan` failed, and left nothing behind."""
    assert kept(mortal.db, plan.plan_id).status is Status.ERROR
    assert mortal.ledger.enabled == {"smollm2": False}
    told = Counter(events_of(mortal.db, plan.plan_id))
    assert (told["plan.step.done"], told["plan.step.undone"], told["plan.error"]) == (2, 2, 1)
    assert all(row.state not in ("opening", "open") for row in mortal.windows_of(plan.user))
    mortal.must_have_let_go(plan)


@pytest.mark.timeout(400)
async def test_killed_in_the_middle_of_effects(tmp_path: Path) -> None:
    """While a peer reads the order, after it was carried out and before the answer, and while its job goes on."""
    async with madre_in(tmp_path) as mortal:
        counted = mortal.ledger.moment
        moments = ["spawn", "spawned", "look", "pull", "pulled", "look"]
        mortal.ledger.looks = 3

        def kill_at(what: str, key: str) -> None:
            counted(what, key)
            if moments and moments[0] == what and not mortal.is_doomed:
                moments.pop(0)
                mortal.kill()

        mortal.ledger.moment = kill_at
        plan = long_plan()
        keep(mortal.db, plan)
        while moments:
            await mortal.be_born()
            await mortal.dead()
        await mortal.be_born()
        await mortal.comes_to_an_end(plan.plan_id)
        await mortal.die()
        await asyncio.to_thread(must_be_exact, mortal, plan)
        assert kept(mortal.db, plan.plan_id).step(2).attempts >= 3


@pytest.mark.timeout(400)
async def test_killed_at_any_moment_with_many_plans_under_way(tmp_path: Path) -> None:
    """Each life ends up to half a second after it began to work on plans; the moments differ from run to run."""
    chance = random.Random(11)
    async with madre_in(tmp_path) as mortal:
        mortal.ledger.looks = 2
        under_way = [long_plan() for _ in range(6)]
        keep(mortal.db, *under_way)
        while mortal.kills < 20 and any(not kept(mortal.db, plan.plan_id).status.is_over for plan in under_way):
            told = mortal.events()
            await mortal.be_born()
            await eventually(
                partial(asyncio.to_thread, mortal.events), partial(operator.lt, told), within_sec=_PLAN_SEC
            )
            await asyncio.sleep(chance.uniform(0.0, 0.5))
            await mortal.die()
        assert mortal.kills >= 5
        await mortal.be_born()
        for plan in under_way:
            await mortal.comes_to_an_end(plan.plan_id)
        await mortal.die()
        for plan in under_way:
            await asyncio.to_thread(must_be_exact, mortal, plan)
