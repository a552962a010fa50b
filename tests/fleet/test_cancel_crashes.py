"""kill -9 of madre at every boundary between a plan's cancel and its end, and while peers stop what went on.

However often she is killed: the plan is cancelled and nothing else, what its step had going on elsewhere was stopped
once, what an earlier step did was taken back once, no later step began, and no window is left open.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from config.contracts.plans import Status
from madre.plan import Plan
from tests.support.lives import Madre, commits, madre_in
from tests.support.plans import events_of, keep, kept, running_plan

_FOR_EVER = 1_000_000  # looks


def with_a_daughter() -> Plan:
    """A model switched on, and a daughter that goes on without madre, in a window of the plan's own."""
    return running_plan(
        ("models.enable", {"model": "smollm2"}),
        ("task.run_python", {"code": "print('hello')"}),
        ("comm.notify", {"message": "done"}),
    )


def with_a_download() -> Plan:
    """A window of the user's, and a download that goes on without madre, in a window of the plan's own."""
    return running_plan(
        ("power.open_window", {"services": ["switch"], "ttl_sec": 900}),
        ("models.pull", {"model": "smollm2"}),
        ("comm.notify", {"message": "done"}),
    )


async def under_way(mortal: Madre, draw_up: Callable[[], Plan], fact: str, dies_before_commit: int = 0) -> Plan:
    """A plan whose second step has something going on at a peer, as its row says, in a life that was just begun."""
    plan = draw_up()
    await asyncio.to_thread(keep, mortal.db, plan)
    await mortal.be_born(dies_before_commit, later=True)
    await mortal.notes(plan.plan_id, 2, fact)
    await mortal.answers()
    assert [row.state for row in mortal.windows_of(f"plan:{plan.plan_id}") if row.state in ("opening", "open")]
    return plan


async def cancel(mortal: Madre, plan: Plan) -> None:
    """Cancel, as somebody does who may get no answer."""
    answer = await mortal.post(f"/madre/plans/{plan.plan_id}/cancel", {"reason": "enough"})
    assert answer is None or answer.status_code == 200, answer.text


def is_asked_to_end(mortal: Madre, plan: Plan) -> bool:
    return kept(mortal.db, plan.plan_id).cancel_asked_at is not None


async def die_before_each_commit_of_a_cancel(
    mortal: Madre, draw_up: Callable[[], Plan], fact: str, must_be_stopped: Callable[[Madre, Plan], None]
) -> tuple[int, int]:
    """One plan for each commit from its cancel on; how often madre died before the cancel was kept, and after."""
    before = after = 0
    for commit in commits():
        plan = await under_way(mortal, draw_up, fact, commit)
        mortal.counts_now()
        canceling = asyncio.ensure_future(cancel(mortal, plan))
        died = await mortal.dies_or_is_done(plan.plan_id)
        await canceling
        if died:
            is_asked = is_asked_to_end(mortal, plan)
            before, after = before + (not is_asked), after + is_asked
            await mortal.be_born()
            if not is_asked:  # whoever got no answer says it again
                await mortal.answers()
                await cancel(mortal, plan)
            await mortal.comes_to_an_end(plan.plan_id)
            await mortal.die()
        await asyncio.to_thread(must_be_stopped, mortal, plan)
        if not died:
            return before, after
    raise AssertionError("a count ended")


def must_be_cancelled(mortal: Madre, plan: Plan, fact: str) -> None:
    """`plan` is cancelled; its first step is undone, its second stopped, its third never begun."""
    ended = kept(mortal.db, plan.plan_id)
    assert ended.status is Status.CANCELLED, ended.error
    assert [step.status for step in ended.steps] == [Status.DONE, Status.CANCELLED, Status.CANCELLED]
    assert ended.step(1).undone_at is not None
    noted = ended.step(2).result or {}
    assert (mortal.ledger.killed.count(noted[fact]), "may_go_on" in noted) == (1, False)
    assert mortal.ledger.effects[f"{plan.plan_id}:2"] == 1
    told = Counter(events_of(mortal.db, plan.plan_id))
    assert (told["plan.cancel_asked"], told["plan.step.undone"], told["plan.cancelled"]) == (1, 1, 1)
    assert (told["plan.done"], told["plan.error"], told["comm.notice"]) == (0, 0, 0)
    mortal.must_have_let_go(plan)


def daughter_must_be_stopped(mortal: Madre, plan: Plan) -> None:
    must_be_cancelled(mortal, plan, "task_id")
    assert mortal.ledger.patched == [("smollm2", True), ("smollm2", False)]
    mortal.ledger.patched.clear()


def download_must_be_stopped(mortal: Madre, plan: Plan) -> None:
    must_be_cancelled(mortal, plan, "job_id")
    assert [row.state for row in mortal.windows_of(plan.user) if row.state in ("opening", "open")] == []


@pytest.mark.timeout(600)
async def test_killed_before_every_commit_from_a_cancel_on(tmp_path: Path) -> None:
    """Of a plan with a daughter under way, and of one with a download."""
    async with madre_in(tmp_path / "daughter") as one, madre_in(tmp_path / "download") as other:
        one.ledger.enabled = {"smollm2": False}
        one.ledger.looks = other.ledger.looks = _FOR_EVER
        kills = await asyncio.gather(
            die_before_each_commit_of_a_cancel(one, with_a_daughter, "task_id", daughter_must_be_stopped),
            die_before_each_commit_of_a_cancel(other, with_a_download, "job_id", download_must_be_stopped),
        )
    print("kills before and after the cancel was kept:", kills)
    assert all(before >= 1 for before, _ in kills), kills
    assert all(after >= 2 for _, after in kills), kills


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("draw_up", "fact", "moments", "must_be_stopped"),
    [
        (with_a_daughter, "task_id", ["look", "kill", "patch"], daughter_must_be_stopped),
        (with_a_download, "job_id", ["look", "cancel"], download_must_be_stopped),
    ],
)
async def test_killed_while_peers_stop_what_went_on(
    tmp_path: Path,
    draw_up: Callable[[], Plan],
    fact: str,
    moments: list[str],
    must_be_stopped: Callable[[Madre, Plan], None],
) -> None:
    """While a peer is asked how it stands, is told to stop it, and takes back what the step before had done."""
    left = list(moments)
    async with madre_in(tmp_path) as mortal:
        mortal.ledger.enabled, mortal.ledger.looks = {"smollm2": False}, _FOR_EVER
        plan = await under_way(mortal, draw_up, fact)

        def kill_at(what: str, _key: str) -> None:
            if left and left[0] == what and not mortal.is_doomed and is_asked_to_end(mortal, plan):
                left.pop(0)
                mortal.kill()

        mortal.ledger.moment = kill_at
        await cancel(mortal, plan)
        for _ in moments:
            await mortal.dead()
            await mortal.be_born()
        await mortal.comes_to_an_end(plan.plan_id)
        await mortal.die()
        assert mortal.kills == len(moments) + 1
        await asyncio.to_thread(must_be_stopped, mortal, plan)
