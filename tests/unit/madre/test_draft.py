"""Plans are drawn up whole or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from config.auth import Caller, Role
from config.contracts.intents import Intent
from config.contracts.plans import Risk, Status
from config.errors import Conflict, Invalid, LaneMissing, RoleRequired, ServiceAbsent
from madre.draft import grown, judged_again, observe, reviewed
from madre.lanes import BUILT_IN, Lane, Rule, by_name
from madre.plan import Plan
from madre.risk import Opinion
from madre.world import KnownModel, World
from tests.support.drafts import ANA, EVERY_ROOM, OPERATOR, ground, intent, plan_of, world


def test_a_sentence_becomes_steps_with_checked_arguments() -> None:
    plan = plan_of(intent("power.open_window", services=["switch"], ttl_sec=60), intent("models.load", model="gemma"))
    assert (plan.status, plan.user, plan.risk) == (Status.WAITING, "olga", Risk.LOW)
    assert [step.number for step in plan.steps] == [1, 2]
    assert plan.step(1).arguments == {"services": ["switch"], "ttl_sec": 60.0, "mode": "ttl", "reason": ""}
    assert plan.reasons == ()


def test_the_risk_of_a_plan_is_that_of_its_worst_step_and_says_which() -> None:
    plan = plan_of(intent("power.state"), intent("models.delete", model="gemma"))
    assert ([step.risk for step in plan.steps], plan.risk) == ([Risk.LOW, Risk.HIGH], Risk.HIGH)
    assert plan.reasons[0] == "step 2: HIGH: models.delete: delete a model and its file"
    assert plan.observed == {"power policy": "solo_madre", "model gemma": "enabled, abababababab"}


def test_it_depends_on_the_same_facts_when_it_is_looked_at_again() -> None:
    plan = plan_of(intent("service.stop", service="hermes"), intent("models.delete", model="gemma"))
    on = ground()
    assert observe(plan, on.actions, on.world) == plan.observed
    changed = world(policy="full", models={})
    assert observe(plan, on.actions, changed) == {**plan.observed, "model gemma": "there is none"}


FULL = {"madre": "ready", "switch": "asleep", "spawner": "asleep"}
ALL_UP = FULL | {"switch": "ready", "spawner": "ready"}


def grown_in(plan: Plan, now: World) -> list[tuple[str, str, str]]:
    on = ground(world=now)
    assert observe(plan, on.actions, now) == plan.observed, "no fact tells of it"
    return [(one.what, one.was, one.now) for one in grown(plan, judged_again(plan, on))]


def test_a_risk_that_has_grown_is_told_though_no_fact_has_changed() -> None:
    then, now = world(policy="full", services=FULL), world(policy="full", services=ALL_UP)
    plan = plan_of(intent("power.apply_policy", policy="solo_madre"), on=ground(world=then))
    assert plan.risk is Risk.MED
    step = "risk of step 1 (power.apply_policy)"
    assert grown_in(plan, now) == [(step, "MED", "HIGH: switch would stop; HIGH: spawner would stop")]
    again = reviewed(plan, ground(world=now))
    assert (again.risk, again.reasons[:2]) == (Risk.HIGH, ("HIGH: switch would stop", "HIGH: spawner would stop"))
    assert grown_in(again, now) == grown_in(plan, then) == grown_in(again, then) == []


def test_so_is_a_new_reason_for_a_risk_that_was_high_before() -> None:
    plan = plan_of(intent("power.state"), intent("models.delete", model="gemma"))
    alone = world(models={"gemma": KnownModel("gemma", "ab" * 32, True)})
    why = "HIGH: gemma is the only model that can be used"
    assert grown_in(plan, alone) == [("risk of step 2 (models.delete)", "HIGH", why)]
    again = reviewed(plan, ground(world=alone))
    assert f"step 2: {why}" in again.reasons
    assert grown_in(again, alone) == []


def test_a_chat_that_wakes_a_service_makes_no_policy_riskier() -> None:
    asleep = dict.fromkeys(("switch", "hermes", "spawner", "shub", "mcp", "operator"), "asleep")
    plan = plan_of(intent("power.apply_policy", policy="full"), on=ground(world=world(services=asleep)))
    assert plan.risk is Risk.HIGH
    assert grown_in(plan, world(services=asleep | {"switch": "ready"})) == []


def test_a_plan_with_more_reasons_than_it_tells_can_be_confirmed_all_the_same() -> None:
    plan = plan_of(*[intent("models.delete", model=f"m{number}") for number in range(14)])
    assert len(plan.reasons) == 12
    assert grown_in(plan, world()) == []


def test_an_action_that_is_no_more_is_said_when_its_plan_is_looked_at_again() -> None:
    plan = plan_of(intent("models.delete", model="gemma"))
    with pytest.raises(LaneMissing, match=r"models\.delete"):
        judged_again(plan, ground(actions={}))


def test_looked_at_again_a_plan_is_no_less_risky_than_it_was() -> None:
    plan = plan_of(intent("power.state", risk=Risk.HIGH))
    assert (plan.risk, reviewed(plan, ground())) == (Risk.HIGH, plan)


@pytest.mark.parametrize("nobody", [None, "", "house.burn_down", "power.State"])
def test_an_action_nobody_knows_ends_lane_missing(nobody: str | None) -> None:
    with pytest.raises(LaneMissing) as refused:
        plan_of(intent("power.state"), intent(nobody))
    assert refused.value.code == "lane_missing"


def test_what_is_near_is_named() -> None:
    with pytest.raises(LaneMissing) as refused:
        plan_of(intent("models.delet", model="gemma"))
    assert refused.value.hint is not None
    assert refused.value.hint.startswith("Is it models.delete")


def test_a_lane_that_is_closed_ends_lane_missing() -> None:
    plan_of(intent("comm.notify", message="hello"))
    with pytest.raises(LaneMissing, match="comm/notify"):
        plan_of(intent("comm.notify", message="hello"), on=ground(lanes={}))


def test_an_action_that_declares_no_lane_runs_in_the_one_of_its_name() -> None:
    plan_of(intent("power.state"))
    closed = ground(lanes=by_name(lane for lane in BUILT_IN if lane.domain != "power"))
    with pytest.raises(LaneMissing, match="power/state"):
        plan_of(intent("power.state"), on=closed)


def test_a_lane_that_demands_more_is_kept_to() -> None:
    lanes = by_name([Lane("comm", "notify", "switch", Rule.REQUIRES_CONFIRMATION)])
    assert plan_of(intent("comm.notify", message="hello"), on=ground(lanes=lanes)).risk is Risk.MED
    lanes = by_name([Lane("comm", "notify", "operator", Rule.OWNER)])
    with pytest.raises(Conflict, match="belongs to operator"):
        plan_of(intent("comm.notify", message="hello"), on=ground(lanes=lanes))


def test_the_audit_waits_for_somebody_however_harmless() -> None:
    root = Caller("root", Role.ADMIN, "token-root")
    assert plan_of(intent("audit.verify"), caller=root).risk is Risk.MED


@pytest.mark.parametrize("action", ["scan.run", "scan.drift", "patch.plan"])
def test_a_room_that_this_build_does_not_hold_is_said(action: str) -> None:
    with pytest.raises(ServiceAbsent) as refused:
        plan_of(intent(action), on=ground(present=EVERY_ROOM - {"hormiguero", "manifestator"}))
    assert refused.value.code == "service_absent"


def test_all_rooms_that_are_missing_are_named_with_what_can_be_done_about_it() -> None:
    here = ground(present=EVERY_ROOM - {"hormiguero", "manifestator"})
    watch = [intent("scan.run"), intent("scan.drift"), intent("patch.plan")]
    with pytest.raises(ServiceAbsent) as refused:
        plan_of(*watch, on=here)
    assert refused.value.extra == {"absent": ["hormiguero", "manifestator"]}
    assert "once it holds hormiguero and manifestator" in (refused.value.hint or "")
    with pytest.raises(ServiceAbsent, match="'Look for faults' is hormiguero's to do: a room that") as refused:
        plan_of(intent("power.state"), intent("scan.run"), on=here)
    assert (refused.value.hint or "").startswith("Order the rest without that")
    with pytest.raises(RoleRequired):  # nobody is told of rooms for what they may not do anyway
        plan_of(intent("scan.run"), intent("models.delete", model="gemma"), caller=ANA, on=here)


def test_rights_do_not_grow_by_asking_for_a_plan() -> None:
    with pytest.raises(RoleRequired):
        plan_of(intent("power.state"), intent("models.delete", model="gemma"), caller=ANA)
    assert plan_of(intent("power.state"), caller=ANA).user == "ana"


@pytest.mark.parametrize(
    ("action", "parameters", "field"),
    [
        ("models.delete", {}, "model"),
        ("models.delete", {"model": "gemma", "really": True}, "really"),
        ("power.open_window", {"services": ["switch"], "ttl_sec": 0}, "ttl_sec"),
        ("power.open_window", {"services": ["switch"], "ttl_sec": float("nan")}, "ttl_sec"),
        ("power.apply_policy", {"policy": "anarchy"}, "policy"),
        ("models.pull", {}, "arguments"),
    ],
)
def test_arguments_that_an_action_cannot_be_told_are_named(action: str, parameters: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        plan_of(intent(action, **parameters))
    assert [error["field"] for error in refused.value.errors] == [field]


def test_a_service_nobody_knows_is_an_argument_nobody_takes() -> None:
    with pytest.raises(Invalid, match="no service called 'nobody'"):
        plan_of(intent("power.open_window", services=["nobody"]))


def test_a_condition_is_one_that_a_step_before_can_find() -> None:
    plan = plan_of(intent("scan.drift"), intent("patch.plan", condition="drift"))
    assert plan.step(2).condition == "drift"
    for wrong in (
        [intent("patch.plan", condition="drift"), intent("scan.drift")],
        [intent("scan.drift"), intent("patch.plan", condition="incidents")],
        [intent("patch.plan", condition="drift")],
    ):
        with pytest.raises(Invalid, match="depends on"):
            plan_of(*wrong)


@pytest.mark.parametrize("count", [0, 21])
def test_a_plan_has_steps_and_not_too_many(count: int) -> None:
    intents: list[Intent] = [intent("power.state")] * count
    with pytest.raises(Invalid, match="1 to 20 steps"):
        plan_of(*intents)


def test_a_models_opinion_is_heard_of_the_step_that_it_is_of() -> None:
    plan = plan_of(intent("power.state"), opinions=[Opinion(Risk.MED, "it smells")])
    assert (plan.risk, plan.reasons) == (Risk.MED, ("MED: a model's opinion: it smells",))
    assert plan_of(intent("models.delete", model="gemma"), opinions=[Opinion(Risk.LOW, "fine")]).risk is Risk.HIGH
    assert plan_of(intent("power.state"), opinions=[Opinion(None, "nonsense")]).risk is Risk.HIGH
    two = intent("power.state"), intent("plans.list")
    of_the_second = plan_of(*two, opinions=[Opinion(Risk.LOW, "fine"), Opinion(Risk.HIGH, "odd")])
    assert [step.risk for step in of_the_second.steps] == [Risk.LOW, Risk.HIGH]
    with pytest.raises(ValueError, match="1 opinions of 2 intents"):
        plan_of(*two, opinions=[Opinion(Risk.LOW, "fine")])


def test_a_plan_says_whose_it_is_and_where_it_came_from() -> None:
    plan = plan_of(intent("power.state"), caller=OPERATOR)
    assert (plan.asked.role.value, plan.asked.source, plan.asked.correlation_id) == (
        "operator",
        "chat",
        "correlation-1",
    )
