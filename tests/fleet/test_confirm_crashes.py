"""kill -9 of madre at every boundary from the POST that confirms a plan to the plan's end, and right after its answer.

However she is killed: the token is used and the next life runs the plan, once, or it is unused and can be used again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from config.contracts.plans import Status
from config.db_schema.kernel import AuditLog
from config.db_schema.madre import ConfirmationRow
from tests.support.lives import Madre, commits, madre_in
from tests.support.plans import events_of, kept


async def drawn_up(mortal: Madre) -> tuple[str, str]:
    """A plan that waits for its confirmation, and the token for it."""
    await mortal.answers()
    answer = await mortal.post("/madre/control", {"action": "task.run_python", "params": {"code": "print('hello')"}})
    assert answer is not None
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    assert told["status"] == "WAITING"
    return told["plan_id"], told["confirm_token"]


async def confirm(mortal: Madre, plan_id: str, token: str) -> httpx.Response | None:
    return await mortal.post(f"/madre/plans/{plan_id}/confirm", {"confirm_token": token})


def is_used(mortal: Madre, plan_id: str) -> bool:
    """Whether the token was used; the plan's row must say the same."""
    with mortal.db.read() as session:
        [row] = session.scalars(select(ConfirmationRow).where(ConfirmationRow.plan_id == plan_id))
        used = row.used_at is not None
    plan = kept(mortal.db, plan_id)
    assert (plan.status is Status.WAITING, plan.confirmed_at is not None) == (not used, used)
    return used


def must_have_run_once(mortal: Madre, plan_id: str) -> None:
    ended = kept(mortal.db, plan_id)
    assert ended.status is Status.DONE, ended.error
    assert mortal.ledger.effects[f"{plan_id}:1"] == 1
    assert mortal.repeated == []
    told = Counter(events_of(mortal.db, plan_id))
    assert (told["plan.confirmed"], told["plan.step.done"], told["plan.done"]) == (1, 1, 1)
    with mortal.db.read() as session:
        acts = session.scalars(select(AuditLog.action).where(AuditLog.target == plan_id))
        assert list(acts).count("plan.confirm") == 1
    mortal.must_have_let_go(ended)


async def used_or_usable(mortal: Madre, plan_id: str, token: str) -> bool:
    """Whether the token had been used before the death; in a new life it is refused then, and else it confirms."""
    was_used = await asyncio.to_thread(is_used, mortal, plan_id)
    await mortal.be_born()
    if was_used:  # nobody says anything, and the plan runs
        await mortal.comes_to_an_end(plan_id)
    await mortal.answers()
    again = await confirm(mortal, plan_id, token)
    assert again is not None
    assert again.status_code == (409 if was_used else 200), again.text
    if was_used:
        assert again.json()["reason"] == "used", again.text
    await mortal.comes_to_an_end(plan_id)
    await mortal.die()
    return was_used


@pytest.mark.timeout(300)
async def test_killed_before_every_commit_from_a_confirmation_on(tmp_path: Path) -> None:
    unused = used = 0
    async with madre_in(tmp_path) as mortal:
        for commit in commits():
            await mortal.be_born(commit, later=True)
            plan_id, token = await drawn_up(mortal)
            mortal.counts_now()
            confirming = asyncio.ensure_future(confirm(mortal, plan_id, token))
            died = await mortal.dies_or_is_done(plan_id)
            await confirming
            if died:
                was_used = await used_or_usable(mortal, plan_id, token)
                unused, used = unused + (not was_used), used + was_used
            await asyncio.to_thread(must_have_run_once, mortal, plan_id)
            if not died:
                break
    print("kills with the token unused, and used:", unused, used)
    assert unused >= 1
    assert used >= 3


@pytest.mark.timeout(200)
async def test_killed_right_after_the_answer_to_a_confirmation(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as mortal:
        for _ in range(3):
            await mortal.be_born()
            plan_id, token = await drawn_up(mortal)
            answer = await confirm(mortal, plan_id, token)
            await mortal.die()
            assert answer is not None
            assert answer.json()["status"] == "RUNNING", answer.text
            assert await used_or_usable(mortal, plan_id, token)
            await asyncio.to_thread(must_have_run_once, mortal, plan_id)
