"""Autonomy over a day: off, in shadow, active; every tick a row, every act a plan of whoever started it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from config.auth import Caller
from config.contracts.autonomy import AutonomyStart
from config.contracts.intents import Intent
from config.contracts.plans import Plan
from config.db_schema import AuditLog, EventRow, PlanRow, PowerEvent, SchedulerHistory
from madre.flows.autonomy import Autonomy, Planner
from madre.store import autonomy as store
from tests.support.clock import ManualClock
from tests.support.eventually import eventually
from tests.support.speech import ADA, ANA, OLGA, SpokenTo, spoken_to

DAY_SEC = 86_400


def rows(madre: SpokenTo, table: Any) -> list[Any]:
    with madre.house.db.read() as session:
        return list(session.scalars(select(table)))


async def tick(madre: SpokenTo) -> SchedulerHistory:
    """One tick, and the row it left."""
    before = len(rows(madre, SchedulerHistory))
    await madre.autonomy.tick()
    kept = rows(madre, SchedulerHistory)
    assert len(kept) == before + 1
    return kept[-1]  # type: ignore[no-any-return]


async def start(madre: SpokenTo, caller: Any = OLGA, **fields: Any) -> dict[str, Any]:
    for _ in range(2):  # the loop's own first look, asked for before these, finds that it is off
        await madre.house.db.reading(store.running)
    answer = await madre.call("POST", "autonomous/start", caller, json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def crash(madre: SpokenTo, times: int = 3) -> None:
    with madre.house.db.write() as session:
        for _ in range(times):
            session.add(
                PowerEvent(
                    at=madre.clock.now(),
                    service="switch",
                    act="crashed",
                    reason="",
                    outcome="failed",
                    elapsed_ms=0,
                    detail={},
                )
            )


async def test_it_is_off_until_somebody_starts_it(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        state = (await madre.call("GET", "autonomous")).json()
        assert (state["mode"], state["started_by"], state["ticks"]["items"]) == ("off", None, [])
        await madre.autonomy.tick()
        assert rows(madre, SchedulerHistory) == []
        for caller_may, caller in ((403, ANA), (200, OLGA)):
            assert (await madre.call("GET", "autonomous", caller)).status_code == caller_may
        assert (await madre.call("POST", "autonomous/start", ANA)).status_code == 403


async def test_a_quiet_tick_is_a_row_of_digests(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        await start(madre)
        first, second = await tick(madre), await tick(madre)
        assert (first.outcome, first.mode, first.started_by) == ("quiet", "shadow", "olga")
        assert set(first.inputs) == {"services", "windows", "plans", "upkeep", "free_mb", "is_blind"}
        assert all(len(digest) == 64 for digest in first.inputs.values())
        parts = set(first.inputs) - {"free_mb"}  # others use this disk too
        assert all(first.inputs[part] == second.inputs[part] for part in parts)
        await madre.call("POST", "power/window/open", json={"services": ["switch"], "mode": "hold"})
        third = await tick(madre)
        changed = {part for part in parts if third.inputs[part] != first.inputs[part]}
        assert {"windows", "services"} <= changed
        assert "plans" not in changed


async def test_in_shadow_it_shows_what_it_would_have_done_and_does_nothing(tmp_path: Path) -> None:
    clock = ManualClock()
    async with spoken_to(tmp_path, clock=clock) as madre:
        assert (await start(madre))["mode"] == "shadow"
        clock.advance(DAY_SEC)
        crash(madre)
        kept = await tick(madre)
        verdicts = {(one["rule"], one["verdict"]) for one in kept.decisions}
        assert ("db.unchecked", "would_have_done") in verdicts
        assert ("service.crashing", "would_have_told") in verdicts
        assert (kept.outcome, rows(madre, PlanRow), madre.runner.started) == ("would_have_acted", [], [])
        assert [row.type for row in rows(madre, EventRow) if row.type == "system.alert"] == []
        shown = (await madre.call("GET", "autonomous")).json()
        assert shown["ticks"]["items"][0]["decisions"] == kept.decisions
        assert shown["budget"]["used"] == 1
        assert (await tick(madre)).outcome == "held_back"


async def test_active_its_acts_are_plans_of_whoever_started_it(tmp_path: Path) -> None:
    clock = ManualClock()
    async with spoken_to(tmp_path, clock=clock) as madre:
        await start(madre, ADA, shadow=False)
        clock.advance(8 * DAY_SEC)
        kept = await tick(madre)
        plans = {row.text: row for row in rows(madre, PlanRow)}
        assert set(plans) == {"db.unchecked: database", "audit.unverified: audit_logs", "maintenance.due: database"}
        assert {row.user for row in plans.values()} == {"ada"}
        assert plans["db.unchecked: database"].status == "DONE"
        assert plans["maintenance.due: database"].status == "WAITING"
        assert madre.runner.started == [plans["db.unchecked: database"].plan_id]
        assert (kept.outcome, set(kept.delegated)) == ("acted", {row.plan_id for row in plans.values()})
        clock.advance(2 * 3600)
        again = {one["rule"]: one["verdict"] for one in (await tick(madre)).decisions}
        assert again["maintenance.due"] == "already_planned"
        assert "db.unchecked" not in again


async def test_it_does_nothing_its_starter_may_not(tmp_path: Path) -> None:
    clock = ManualClock()
    async with spoken_to(tmp_path, clock=clock) as madre:
        await start(madre, OLGA, shadow=False)
        clock.advance(8 * DAY_SEC)
        verdicts = {one["rule"]: one["verdict"] for one in (await tick(madre)).decisions}
        assert verdicts == {"db.unchecked": "delegated", "audit.unverified": "told", "maintenance.due": "told"}
        alerts = [row for row in rows(madre, EventRow) if row.type == "system.alert"]
        assert {row.data["rule"] for row in alerts} == {"audit.unverified", "maintenance.due"}


async def test_its_budget_is_kept(tmp_path: Path) -> None:
    clock = ManualClock()
    async with spoken_to(tmp_path, clock=clock, autonomy_acts_per_hour=2) as madre:
        state = await start(madre, ADA, shadow=False, acts_per_hour=1)
        assert state["budget"] == {"acts_per_hour": 1, "used": 0, "left": 1}
        clock.advance(8 * DAY_SEC)
        kept = await tick(madre)
        assert sorted(one["verdict"] for one in kept.decisions) == ["delegated", "over_budget", "over_budget"]
        assert len(rows(madre, PlanRow)) == 1
        assert (await start(madre, ADA, shadow=False, acts_per_hour=50))["budget"]["acts_per_hour"] == 2


async def test_what_it_decides_is_told(tmp_path: Path) -> None:
    clock = ManualClock()
    async with spoken_to(tmp_path, clock=clock) as madre:
        await start(madre)
        await tick(madre)
        clock.advance(DAY_SEC)
        await tick(madre)
        (event,) = [row for row in rows(madre, EventRow) if row.type == "madre.decision.explained"]
        assert event.data["mode"] == "shadow"
        assert {(one["rule"], one["verdict"]) for one in event.data["decisions"]} == {
            ("audit.unverified", "would_have_told"),
            ("db.unchecked", "would_have_done"),
        }


async def test_a_tick_that_fails_is_a_row_too_and_the_next_one_comes(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        autonomy = madre.autonomy

        def unreadable(folder: Path) -> int:
            raise OSError(f"{folder} cannot be read")

        broken = Autonomy(madre.house, autonomy._reconciler, autonomy._gauges, autonomy._planner, unreadable)
        await start(madre)
        await broken.tick()
        (row,) = (row for row in rows(madre, SchedulerHistory) if row.outcome == "failed")  # the loop may tick too
        assert row.note == "OSError"
        await autonomy.tick()
        assert [row.outcome for row in rows(madre, SchedulerHistory)].count("quiet") >= 1


@dataclass
class Cut:
    """Plans as the loop's own planner does, and then something happens: an error, or the end of the process."""

    planner: Planner
    after: int
    error: BaseException

    async def planned(self, intent: Intent, text: str, source: str, caller: Caller) -> Plan:
        plan = await self.planner.planned(intent, text, source, caller)
        self.after -= 1
        if self.after == 0:
            raise self.error
        return plan


def cut(madre: SpokenTo, after: int, error: BaseException) -> Autonomy:
    well = madre.autonomy
    return Autonomy(madre.house, well._reconciler, well._gauges, Cut(well._planner, after, error))


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), asyncio.CancelledError()])
async def test_what_a_broken_tick_has_planned_counts(tmp_path: Path, error: BaseException) -> None:
    """After a bug there is a row, after a death there is none; the plans are there either way."""
    clock = ManualClock()
    async with spoken_to(tmp_path, clock=clock) as madre:
        await start(madre, ADA, shadow=False, acts_per_hour=2)
        clock.advance(8 * DAY_SEC)
        with contextlib.suppress(asyncio.CancelledError):
            await cut(madre, 1, error).tick()
        assert len(rows(madre, PlanRow)) == 1
        state = (await madre.call("GET", "autonomous")).json()
        assert state["budget"] == {"acts_per_hour": 2, "used": 1, "left": 1}
        assert [one["rule"] for one in state["cooling"]] == ["audit.unverified"]
        verdicts = {one["rule"]: one["verdict"] for one in (await tick(madre)).decisions}
        assert verdicts == {
            "audit.unverified": "already_planned",
            "db.unchecked": "delegated",
            "maintenance.due": "over_budget",
        }
        assert (await madre.call("GET", "autonomous")).json()["budget"]["left"] == 0


async def test_a_broken_tick_says_what_it_had_done(tmp_path: Path) -> None:
    clock = ManualClock()
    async with spoken_to(tmp_path, clock=clock) as madre:
        await start(madre, ADA, shadow=False)
        clock.advance(8 * DAY_SEC)
        await cut(madre, 2, ZeroDivisionError("a bug")).tick()
        (row,) = rows(madre, SchedulerHistory)
        assert (row.outcome, row.note) == ("failed", "ZeroDivisionError")
        assert [one["verdict"] for one in row.decisions] == ["delegated", "failed"]
        first, second = (plan.plan_id for plan in rows(madre, PlanRow))
        assert {first, second} > set(row.delegated)
        assert (await madre.call("GET", "autonomous")).json()["budget"]["used"] == 2


async def test_what_always_breaks_a_tick_keeps_nothing_else_from_being_done(tmp_path: Path) -> None:
    clock = ManualClock()
    async with spoken_to(tmp_path, clock=clock) as madre:
        await start(madre, ADA, shadow=False)
        clock.advance(8 * DAY_SEC)
        rules = set()
        for _ in range(3):
            await cut(madre, 1, ZeroDivisionError("a bug")).tick()
            rules |= {one["rule"] for one in rows(madre, SchedulerHistory)[-1].decisions if one["verdict"] == "failed"}
        assert rules == {"audit.unverified", "db.unchecked", "maintenance.due"}


async def test_a_full_disk_is_told(tmp_path: Path) -> None:
    async with spoken_to(tmp_path) as madre:
        well = madre.autonomy
        full = Autonomy(madre.house, well._reconciler, well._gauges, well._planner, lambda _folder: 512)
        await full.start(AutonomyStart(shadow=False), OLGA)
        await full.tick()
        (event,) = [row for row in rows(madre, EventRow) if row.type == "system.alert"]
        assert (event.severity, event.data["rule"]) == ("error", "disk.low")
        assert event.data["evidence"]["free_mb"] == 512


async def test_how_it_was_left_survives_a_restart(tmp_path: Path) -> None:
    clock = ManualClock()
    async with spoken_to(tmp_path, clock=clock) as madre:
        await start(madre, shadow=False, reason="a quiet week")
    async with spoken_to(tmp_path, clock=clock) as madre:
        state = (await madre.call("GET", "autonomous")).json()
        assert (state["mode"], state["started_by"], state["reason"]) == ("active", "olga", "a quiet week")

        async def ticks() -> int:
            return len(rows(madre, SchedulerHistory))

        await eventually(ticks, lambda count: count == 1)  # by itself
        stopped = (await madre.call("POST", "autonomous/stop", json={"reason": "enough"})).json()
        assert stopped["mode"] == "off"
        await madre.autonomy.tick()
        assert await ticks() == 1
        acts = [(row.action, row.user) for row in rows(madre, AuditLog) if row.action.startswith("autonomy.")]
        assert acts == [("autonomy.active", "olga"), ("autonomy.off", "olga")]


async def test_ticks_are_listed_newest_first_page_by_page(tmp_path: Path) -> None:
    clock = ManualClock()
    async with spoken_to(tmp_path, clock=clock) as madre:
        await start(madre)
        for _ in range(3):
            clock.advance(30)
            await tick(madre)
        first = (await madre.call("GET", "autonomous", params={"limit": 2})).json()["ticks"]
        cursor = first["next_cursor"]
        rest = (await madre.call("GET", "autonomous", params={"limit": 2, "cursor": cursor})).json()["ticks"]
        numbers = [one["id"] for one in [*first["items"], *rest["items"]]]
        assert numbers == sorted(numbers, reverse=True)
        assert (len(numbers), rest["next_cursor"]) == (3, None)
        assert (await madre.call("GET", "autonomous", params={"cursor": "nonsense"})).status_code == 422
