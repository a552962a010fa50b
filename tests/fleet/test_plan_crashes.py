"""kill -9 of madre at every boundary of a plan's steps, in the middle of their effects, and at any moment at all.

Madre is the real one, in a process of her own; the peers whom steps ask live in this one, so they outlive her and
count. What must hold, however often she is killed: each effect was made once, no step that had finished was asked for
again, each step says once that it is done, and nothing is left open.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import operator
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, select

from config.app import build_house
from config.contracts.plans import Status
from config.db import Database
from config.db_schema import Base, EventRow, PlanStep, PowerWindow
from config.settings import Settings
from madre.plan import Plan
from tests.support.eventually import eventually
from tests.support.mortal import settings_of
from tests.support.plans import Ledger, events_of, hermes_room, keep, kept, running_plan, spawner_room
from tests.support.ports import free_port_offset
from tests.support.server import served

ROOT = Path(__file__).resolve().parents[2]
_PLAN_SEC = 60.0


@dataclass
class Mortal:
    """Madre's lives in one folder, and the peers that she asks."""

    settings: Settings
    db: Database
    ledger: Ledger
    process: asyncio.subprocess.Process
    pid: int = 0
    kills: int = 0
    is_doomed: bool = False
    repeated: list[str] = field(default_factory=list)

    async def be_born(self, dies_before_commit: int = 0) -> None:
        """Begin a life."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{dies_before_commit}\n".encode())
        self.pid = int((await self._said()).removeprefix("born "))
        self.is_doomed = False  # not before: what peers still do for the life before may not end this one unseen

    async def die(self) -> None:
        """End this life, now."""
        self.kill()
        await self.dead()

    def kill(self) -> None:
        """kill -9, unless that was done already."""
        self.is_doomed = True
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def dead(self) -> None:
        """Wait for the end of this life; it must be a kill."""
        assert await self._said() == f"died -{signal.SIGKILL.value}"
        self.pid, self.kills = 0, self.kills + 1

    async def comes_to_an_end(self, plan_id: str) -> Plan:
        """The plan once it is over."""
        return await eventually(
            partial(asyncio.to_thread, kept, self.db, plan_id), lambda plan: plan.status.is_over, within_sec=_PLAN_SEC
        )

    async def dies_or_is_done(self, plan_id: str) -> bool:
        """Whether this life ended before the plan did."""
        dying = asyncio.ensure_future(self.dead())
        ending = asyncio.ensure_future(self.comes_to_an_end(plan_id))
        done, _ = await asyncio.wait({dying, ending}, return_when=asyncio.FIRST_COMPLETED)
        if dying in done:
            ending.cancel()
            return True
        # The rows say that it is over; what is left to commit is the runner's own, and may still be what it dies of.
        died, _ = await asyncio.wait({dying}, timeout=1)
        self.kill()
        await dying
        return bool(died)

    def events(self) -> int:
        """How many events of plans the journal holds."""
        with self.db.read() as session:
            told = select(func.count()).select_from(EventRow).where(EventRow.type.startswith("plan."))
            return session.scalar(told) or 0

    def is_finished(self, key: str) -> bool:
        """Whether the step of this key is over, as its row says."""
        plan_id, number = key.split(":")[:2]
        with self.db.read() as session:
            row = session.get(PlanStep, (plan_id, int(number)))
            return row is not None and row.status in ("DONE", "ERROR", "CANCELLED")

    async def _said(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().strip()


@contextlib.asynccontextmanager
async def mortal_in(folder: Path) -> AsyncIterator[Mortal]:
    """A folder with a database, peers on their ports, and a madre to be born."""
    folder.mkdir(exist_ok=True)
    offset = free_port_offset()
    settings = settings_of(folder, offset)
    houses = {name: build_house(name, settings) for name in ("hermes", "spawner")}
    Base.metadata.create_all(houses["hermes"].db.writer)
    ledger = Ledger()
    with (folder / "madre.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.support.mortal", str(folder), str(offset)),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    mortal = Mortal(settings, Database(settings.resolved_database_url), ledger, process)

    def asked(what: str, key: str) -> None:
        if what in ("spawn", "pull") and mortal.is_finished(key):
            mortal.repeated.append(key)

    ledger.moment = asked
    try:
        async with (
            served(spawner_room(houses["spawner"], ledger), port=settings.port_of("spawner")),
            served(hermes_room(houses["hermes"], ledger), port=settings.port_of("hermes")),
        ):
            yield mortal
    finally:
        mortal.kill()
        process.kill()
        await process.wait()
        mortal.db.close()


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


def must_be_exact(mortal: Mortal, plan: Plan) -> None:
    """All of `long_plan` happened once."""
    ended = kept(mortal.db, plan.plan_id)
    assert ended.status is Status.DONE, ended.error
    assert [step.status for step in ended.steps] == [Status.DONE] * 5
    assert [mortal.ledger.effects[f"{plan.plan_id}:{number}"] for number in (2, 3)] == [1, 1]
    assert mortal.repeated == []
    told = Counter(events_of(mortal.db, plan.plan_id))
    assert (told["plan.step.done"], told["plan.done"], told["comm.notice"]) == (5, 1, 2)
    must_have_let_go(mortal, plan)
    assert len([row for row in windows_of(mortal, plan.user) if row.state == "open"]) == 1, (
        "one and the same is renewed"
    )


def must_have_let_go(mortal: Mortal, plan: Plan) -> None:
    assert kept(mortal.db, plan.plan_id).windows == ()
    own = windows_of(mortal, f"plan:{plan.plan_id}")
    assert [row.window_id for row in own if row.state in ("opening", "open")] == []


def windows_of(mortal: Mortal, opened_by: str) -> list[PowerWindow]:
    with mortal.db.read() as session:
        return list(session.scalars(select(PowerWindow).where(PowerWindow.opened_by == opened_by)))


async def die_before_each_commit(
    mortal: Mortal, draw_up: Callable[[], Plan], must_hold: Callable[[Mortal, Plan], None]
) -> int:
    """One plan for each commit that a life makes while it carries it out: madre dies before that one, and then lives.

    How often a plan was under way when she died.
    """
    cut_short = 0
    for commit in itertools.count(1):
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
    """Of one that is done, and of one that fails and is taken back; her commits and DBOS's."""
    async with mortal_in(tmp_path / "done") as one, mortal_in(tmp_path / "undone") as other:
        other.ledger.enabled = {"smollm2": False}
        kills = await asyncio.gather(
            die_before_each_commit(one, long_plan, must_be_exact),
            die_before_each_commit(other, failing_plan, must_be_taken_back),
        )
    assert min(kills) >= 10, kills
    assert sum(kills) >= 40, kills


def must_be_taken_back(mortal: Mortal, plan: Plan) -> None:
    """`failing_plan` failed, and left nothing behind."""
    assert kept(mortal.db, plan.plan_id).status is Status.ERROR
    assert mortal.ledger.enabled == {"smollm2": False}
    told = Counter(events_of(mortal.db, plan.plan_id))
    assert (told["plan.step.done"], told["plan.step.undone"], told["plan.error"]) == (2, 2, 1)
    assert all(row.state not in ("opening", "open") for row in windows_of(mortal, plan.user))
    must_have_let_go(mortal, plan)


@pytest.mark.timeout(400)
async def test_killed_in_the_middle_of_effects(tmp_path: Path) -> None:
    """While a peer reads the order, after it was carried out and before the answer, and while its job goes on."""
    async with mortal_in(tmp_path) as mortal:
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
    async with mortal_in(tmp_path) as mortal:
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
