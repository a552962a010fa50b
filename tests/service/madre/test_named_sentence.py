"""The issue's own sentence, whole: read, planned, confirmed where it must be, and run by the real runner.

Hormiguero and manifestator are not in this build; they are given to the composition here, over injected transports, at
the paths that the contract has for them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from config.services import FLEET
from madre.actions import action_named
from madre.actions.rooms import PatchPlan
from madre.clients import Manifestator
from madre.flows.executors.manifestator import ManifestatorActs
from madre.flows.executors.order import Order
from madre.lanes import BUILT_IN, Rule, by_name, lane_of
from tests.support.clock import ManualClock
from tests.support.eventually import eventually
from tests.support.house import house_in
from tests.support.plans import Ledger, Peers, hermes_room
from tests.support.power import Madre, ScriptedDriver, madre_in
from tests.support.speech import OLGA
from tests.support.watch import Seen, hormiguero_room, manifestator_room

SPANISH = "analiza el sistema y si hay drift prepara un parche"
ENGLISH = "scan the system and if there is drift prepare a patch"
DRIFT = [{"path": "config/app.py", "was": "1a", "is": "2b"}]
_SETTINGS: dict[str, Any] = {"allow_service_control": True}
STEPS = [
    ("scan.run", "CALL_HORMIGUERO", None, "LOW"),
    ("scan.drift", "CALL_MANIFESTATOR", None, "LOW"),
    ("patch.plan", "CALL_MANIFESTATOR", "drift", "LOW"),
]
LANES = [
    ("hormiguero", Rule.READ_ONLY),
    ("manifestator", Rule.PLAN_ONLY),
    ("manifestator", Rule.PLAN_ONLY),
]


@dataclass
class World:
    """Madre with the two rooms, and what they were asked."""

    madre: Madre
    seen: Seen
    driver: ScriptedDriver
    clock: ManualClock

    async def call(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        """A request of olga's under /madre; its answer."""
        headers = {"x-vx11-token": self.madre.house.auth.sign(OLGA)}
        answer = await self.madre.client.request(method, f"/madre/{path}", headers=headers, **given)
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def say(self, text: str, kind: str = "exec") -> dict[str, Any]:
        """What comes of a sentence."""
        return await self.call("POST", "intent", json={"type": kind, "payload": {"text": text}, "source": "test"})

    async def confirm(self, answer: dict[str, Any]) -> None:
        """Let what waits run."""
        token = {"confirm_token": answer["confirmation"]["confirm_token"]}
        await self.call("POST", f"plans/{answer['plan_id']}/confirm", json=token)

    async def plan(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The plan as it is now."""
        return await self.call("GET", f"plans/{answer['plan_id']}")

    async def ended(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The plan once it is over."""
        return await eventually(
            lambda: self.plan(answer), lambda plan: plan["status"] in ("DONE", "ERROR", "CANCELLED"), within_sec=20
        )


@asynccontextmanager
async def world_in(folder: Path, seen: Seen | None = None, *, later_sec: float = 0) -> AsyncIterator[World]:
    """A house in `folder` that holds every room, so long after the first one of the test."""
    clock, seen = ManualClock(), seen or Seen()
    clock.advance(later_sec)
    driver = ScriptedDriver(clock)
    apps = {
        "hermes": hermes_room(house_in(folder, "hermes", clock=clock), Ledger()),
        "hormiguero": hormiguero_room(house_in(folder, "hormiguero", clock=clock), seen),
        "manifestator": manifestator_room(house_in(folder, "manifestator", clock=clock), seen),
    }
    peers = Peers(apps, driver.transport())
    async with madre_in(folder, clock=clock, driver=driver, transport=peers, present=FLEET, **_SETTINGS) as madre:
        yield World(madre, seen, driver, clock)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_in(tmp_path) as made:
        yield made


@pytest.mark.parametrize("sentence", [SPANISH, ENGLISH])
async def test_it_is_a_typed_plan_that_waits_where_somebody_wants_to_see_it_first(world: World, sentence: str) -> None:
    drawn = await world.say(sentence, "plan")
    assert (drawn["status"], drawn["risk"], drawn["error"]) == ("WAITING", "LOW", None)
    assert "added, because what follows depends on drift" in drawn["warnings"]
    plan = await world.plan(drawn)
    shown = [(step["action"], step["step_type"], step["condition"], step["risk"]) for step in plan["steps"]]
    assert shown == STEPS
    lanes = [lane_of(by_name(BUILT_IN), action_named(step["action"])) for step in plan["steps"]]
    assert [(lane.owner, lane.rule) for lane in lanes] == LANES
    assert world.seen.asked == [], "a plan that waits asks nobody anything"


async def test_drift_that_is_found_has_a_patch_drawn_up(world: World) -> None:
    world.seen.drift, world.seen.incidents = DRIFT, ["a file is gone"]
    drawn = await world.say(SPANISH, "plan")
    await world.confirm(drawn)
    plan = await world.ended(drawn)
    assert (plan["status"], plan["error"]) == ("DONE", None)
    scan, drift, drawn_up = (step["result"] for step in plan["steps"])
    assert [one["title"] for one in scan["incidents"]] == ["a file is gone"], "what is resolved is no problem any more"
    assert drift["drift"] == DRIFT
    assert [one["target"] for one in drawn_up["patch"]["actions"]] == ["config/app.py"]
    assert {name: wish.drift_evidence for name, wish in world.seen.patches.items()} == {f"{plan['plan_id']}:3": DRIFT}
    assert {user for _, user in world.seen.asked} == {OLGA.user}, "with the rights of whom the plan is for"


async def test_without_drift_no_patch_is_drawn_up_and_the_step_says_why(world: World) -> None:
    done = await world.say(SPANISH)
    plan = await world.ended(done)
    assert (plan["status"], plan["risk"], plan["confirmed_at"]) == ("DONE", "LOW", None)
    skipped = plan["steps"][2]
    assert (skipped["status"], skipped["error"]["detail"]) == ("CANCELLED", "drift was not found")
    assert (world.seen.patches, [what for what, _ in world.seen.asked]) == ({}, ["scan", "drift"])


async def test_with_something_risky_in_it_all_of_it_waits(world: World) -> None:
    world.seen.drift = DRIFT
    asked = await world.say(f"{SPANISH} y reinicia hermes")
    assert (asked["status"], asked["risk"]) == ("WAITING", "MED")
    assert [(step["action"], step["condition"]) for step in asked["actions"]][3:] == [("service.restart", "drift")]
    assert world.seen.asked == []


async def test_the_rooms_it_needs_are_woken_for_it_and_let_go(world: World) -> None:
    plan = await world.ended(await world.say(SPANISH))
    assert plan["status"] == "DONE"
    assert {("start", "hormiguero"), ("start", "manifestator")} <= set(world.driver.told)
    windows = (await world.madre.get("windows"))["items"]
    assert windows
    assert not [window for window in windows if window["state"] == "open"]


async def test_said_for_tomorrow_it_waits_for_tomorrow(world: World) -> None:
    drawn = await world.say(f"mañana {SPANISH}", "plan")
    moments = {step["not_before"] for step in drawn["actions"]}
    assert len(moments) == 1
    assert None not in moments


async def test_what_was_begun_before_a_death_goes_on_after_it(tmp_path: Path) -> None:
    seen = Seen(drift=DRIFT)
    async with world_in(tmp_path, seen) as before:
        drawn = await before.say(f"dentro de una hora {SPANISH}", "exec")
        assert (drawn["status"], seen.asked) == ("RUNNING", [])
    async with world_in(tmp_path, seen, later_sec=3601) as after:
        plan = await after.ended(drawn)
        assert (plan["status"], list(seen.patches)) == ("DONE", [f"{plan['plan_id']}:3"])
        assert [what for what, _ in seen.asked].count("scan") == 1


async def test_after_a_death_the_same_key_brings_the_same_evidence(world: World) -> None:
    """Another body under a key that is known would be refused."""
    kept: list[dict[str, Any]] = []
    acts = ManifestatorActs(Manifestator(world.madre.house.clients))

    async def keep(noted: dict[str, Any]) -> None:
        assert world.seen.patches == {}, "it is kept before it is sent"
        kept.append(dict(noted))

    def order(attempt: int, noted: dict[str, Any]) -> Order:
        told = PatchPlan()
        return Order(
            "plan-1", 1, action_named("patch.plan"), told, OLGA, "plan-1:1", attempt, None, noted=noted, keep=keep
        )

    world.seen.drift = DRIFT
    first = await acts.plan(order(1, {}))
    sent = world.seen.patches["plan-1:1"]
    world.seen.drift = [*DRIFT, {"path": "config/other.py", "was": "1a", "is": "2b"}]
    again = await acts.plan(order(2, kept[-1]))
    assert world.seen.patches == {"plan-1:1": sent}
    assert again == first
    assert (len(kept), first["more"]) == (1, False)
