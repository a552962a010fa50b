"""kill -9 of the peer that a step asks, at every boundary of what it does for the step, and of madre at the same time.

The peer is the real spawner with its real cage, in the house of a real madre. However often it dies: one job was made
for the step's key, the plan goes on once it is back or says why it cannot, and no process of a daughter is left over.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from config.clock import SystemClock
from config.contracts.plans import Status
from config.db_schema.kernel import IdempotencyKey
from config.db_schema.spawner import DaughterAttempt, DaughterTask
from madre.plan import Plan
from tests.support.cages import alive
from tests.support.eventually import eventually
from tests.support.lives import Madre, Mortal, madre_in, spawner_in
from tests.support.plans import keep, kept, running_plan

# Its first try never ends by itself; whoever is tried again is done at once.
ONCE = """
import os, time
print("try", os.environ["VX11_ATTEMPT"], flush=True)
if os.environ["VX11_ATTEMPT"] == "1":
    time.sleep(600)
"""


@pytest.fixture
async def madre(folder: Path) -> AsyncIterator[Madre]:
    async with madre_in(folder, peers=("hermes",)) as mortal:
        yield mortal


@pytest.fixture
async def spawner(madre: Madre, folder: Path) -> AsyncIterator[Mortal]:
    async with spawner_in(folder, madre.settings) as mortal:
        yield mortal


def daughter(code: str, max_retries: int) -> Plan:
    return running_plan(
        ("task.run_python", {"code": code, "max_retries": max_retries}), ("comm.notify", {"message": "x"})
    )


def jobs_of(madre: Madre, plan: Plan) -> list[DaughterTask]:
    with madre.db.read() as session:
        return list(session.scalars(select(DaughterTask).where(DaughterTask.name == f"step 1 of {plan.plan_id}")))


def attempts_of(madre: Madre, job: DaughterTask) -> list[DaughterAttempt]:
    of_job = select(DaughterAttempt).where(DaughterAttempt.spawn_id == job.spawn_id)
    with madre.db.read() as session:
        return list(session.scalars(of_job.order_by(DaughterAttempt.number)))


def half_a_minute_passes(madre: Madre) -> None:
    """For keys whose first request died with its process: so long they are not given to another one."""
    unanswered = update(IdempotencyKey).where(IdempotencyKey.answer.is_(None))
    with madre.db.write() as session:
        session.execute(unanswered.values(created_at=SystemClock().now() - timedelta(seconds=30)))


async def gone(attempts: list[DaughterAttempt]) -> None:
    async def left() -> list[int]:
        return [one.pid for one in attempts if one.pid and alive(one.pid)]

    await eventually(left, lambda found: not found)


async def begun(madre: Madre, spawner: Mortal, plan: Plan) -> None:
    """Both live, and the plan is theirs to carry out."""
    await spawner.be_born()
    await spawner.answers()
    await asyncio.to_thread(keep, madre.db, plan)
    await madre.be_born()


async def tried(madre: Madre, plan: Plan) -> DaughterAttempt:
    """The first try of the plan's daughter, once its process runs."""

    async def look() -> list[DaughterAttempt]:
        jobs = await asyncio.to_thread(jobs_of, madre, plan)
        return [one for job in jobs for one in await asyncio.to_thread(attempts_of, madre, job) if one.pid]

    return (await eventually(look, bool, within_sec=30))[0]


async def must_have_made_one(madre: Madre, plan: Plan) -> None:
    """The plan is done, by one job; tries of it that a death cut short are told as such, and gone."""
    ended = kept(madre.db, plan.plan_id)
    assert ended.status is Status.DONE, ended.error
    [job] = jobs_of(madre, plan)
    assert (ended.step(1).result or {})["task_id"] == job.spawn_id
    attempts = attempts_of(madre, job)
    kinds = [one.kind for one in attempts]
    assert (kinds[-1], set(kinds[:-1]) <= {"interrupted"}) == ("exited", True), kinds
    await gone(attempts)
    madre.must_have_let_go(plan)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("both", [False, True], ids=["madre lives", "madre too"])
async def test_a_peer_killed_before_every_commit_of_what_a_step_asks_of_it(
    madre: Madre, spawner: Mortal, both: bool
) -> None:
    """One plan for each commit that the spawner makes from the order on."""
    for commit in itertools.count(1):
        plan = daughter("print('hello')", max_retries=5)
        await spawner.be_born(commit, later=True)
        await spawner.answers()
        spawner.counts_now()
        await asyncio.to_thread(keep, madre.db, plan)
        await madre.be_born()
        dying, ending = (
            asyncio.ensure_future(spawner.dead()),
            asyncio.ensure_future(madre.comes_to_an_end(plan.plan_id)),
        )
        await asyncio.wait({dying, ending}, return_when=asyncio.FIRST_COMPLETED)
        died = dying.done()
        if died:
            if both:
                await madre.die()
            await asyncio.to_thread(half_a_minute_passes, madre)
            await spawner.be_born()
            if both:
                await madre.be_born()
        await ending
        spawner.kill()
        await (spawner.dead() if died else dying)
        await madre.die()
        await must_have_made_one(madre, plan)
        if not died:
            break
    print("deaths of the spawner:", commit - 1)
    assert commit > 5


@pytest.mark.timeout(120)
@pytest.mark.parametrize("both", [False, True], ids=["madre lives", "madre too"])
@pytest.mark.parametrize("max_retries", [0, 1])
async def test_a_peer_killed_while_a_daughter_runs(madre: Madre, spawner: Mortal, both: bool, max_retries: int) -> None:
    """With a try left the next spawner makes it, and the plan has its result; without one the plan says why."""
    plan = daughter(ONCE, max_retries)
    await begun(madre, spawner, plan)
    first = await tried(madre, plan)
    if both:
        madre.kill()
    await spawner.die()
    await gone([first])
    if both:
        await madre.dead()
        await madre.be_born()
    await spawner.be_born()
    ended = await madre.comes_to_an_end(plan.plan_id)
    if max_retries:
        assert (ended.step(1).result or {})["output"] == "try 2\n"
        await must_have_made_one(madre, plan)
    else:
        assert ended.status is Status.ERROR
        assert ended.error is not None
        assert "ended in ERROR" in ended.error.detail
        assert ended.step(2).status is Status.CANCELLED
        [job] = jobs_of(madre, plan)
        assert [one.kind for one in attempts_of(madre, job)] == ["interrupted"]
        madre.must_have_let_go(plan)


@pytest.mark.timeout(120)
async def test_a_peer_that_stays_away_fails_the_plan_which_says_what_may_go_on(madre: Madre, spawner: Mortal) -> None:
    """Its job is not lost, and its next life takes it up: whoever reads the plan must know which one that is."""
    plan = daughter(ONCE, max_retries=1)
    await begun(madre, spawner, plan)
    first = await tried(madre, plan)
    await madre.notes(plan.plan_id, 1, "task_id")
    await spawner.die()
    ended = await madre.comes_to_an_end(plan.plan_id)
    assert ended.status is Status.ERROR
    assert ended.error is not None
    assert (ended.error.code, ended.error.detail) == ("unavailable", "spawner cannot be reached.")
    [job] = jobs_of(madre, plan)
    assert ended.step(1).result == {"task_id": job.spawn_id, "may_go_on": "spawner cannot be reached."}
    await gone([first])
    madre.must_have_let_go(plan)
