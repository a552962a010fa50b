"""A step that was done when madre was killed, and is done again because its row did not say so yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from config.contracts.plans import Status
from madre.adapters.backup import backed_up
from madre.clients import Hermes
from madre.flows.steps import caller_of
from madre.plan import Plan
from madre.runner import effect_key
from tests.service.madre.test_maintenance import ON_A_FILE
from tests.service.madre.test_running_plans import World, world_in
from tests.support.plans import NOW, running_plan, with_step


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


def cut_short(plan: Plan, **noted: str) -> Plan:
    """The plan as madre left it who was killed in its first step."""
    return with_step(plan, 1, status=Status.RUNNING, attempts=1, started_at=NOW, result=noted or None)


async def test_a_scan_gives_the_report_of_the_first_one(world: World) -> None:
    plan = running_plan(("hermes.scan", {}))
    key = effect_key(plan.plan_id, 1)
    first = await Hermes(world.madre.house.clients).scan(False, caller_of(plan), key)
    ended = await world.run(cut_short(plan))
    assert (ended.status, ended.step(1).result) == (Status.DONE, first.model_dump(mode="json"))
    assert (world.ledger.asked, world.ledger.effects) == ([("scan", key)] * 2, {key: 1})


@ON_A_FILE
async def test_maintenance_leaves_one_backup_whole_or_not(world: World, tmp_path: Path) -> None:
    backups, db = tmp_path / "data" / "backups", world.madre.house.db
    begun = world.clock.now()
    await asyncio.to_thread(backed_up, db, backups, begun)
    [first] = backups.iterdir()
    (backups / first.with_suffix(".partial").name).write_bytes(b"a copy that was cut short")
    world.clock.advance(90)
    plan = running_plan(("system.maintenance", {"apply": True}))
    ended = await world.run(cut_short(plan, at=begun.isoformat()))
    assert ended.status is Status.DONE, ended.error
    assert (ended.step(1).result or {})["findings"]["backup"]["file"] == first.name
    assert list(backups.iterdir()) == [first]


@ON_A_FILE
async def test_a_copy_that_was_cut_short_and_never_gone_on_with_is_removed_in_time(
    world: World, tmp_path: Path
) -> None:
    backups, db, now = tmp_path / "backups", world.madre.house.db, world.clock.now()
    backups.mkdir()
    old, new = (backups / f"vx11-{now - timedelta(hours=ago):%Y%m%dT%H%M%SZ}.partial" for ago in (25, 1))
    for left in (old, new):
        left.write_bytes(b"some of it")
    made = await asyncio.to_thread(backed_up, db, backups, now)
    assert {left.name for left in backups.iterdir()} == {made["file"], new.name}


async def test_looking_only_is_noted_nowhere(world: World) -> None:
    ended = await world.run(running_plan(("system.maintenance", {})))
    assert (ended.step(1).result or {})["applied"] is False
