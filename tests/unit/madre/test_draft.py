"""Plans are drawn up whole or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from config.auth import Caller, Role
from config.contracts.intents import Intent
from config.contracts.plans import Risk, Status
from config.errors import Conflict, Invalid, LaneMissing, RoleRequired, ServiceAbsent
from madre.draft import observe
from madre.lanes import Lane, Rule, by_name
from madre.risk import Opinion
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


def test_a_models_opinion_is_heard_for_every_step() -> None:
    plan = plan_of(intent("power.state"), opinion=Opinion(Risk.MED, "it smells"))
    assert (plan.risk, plan.reasons) == (Risk.MED, ("MED: a model's opinion: it smells",))
    assert plan_of(intent("models.delete", model="gemma"), opinion=Opinion(Risk.LOW, "fine")).risk is Risk.HIGH
    assert plan_of(intent("power.state"), opinion=Opinion(None, "nonsense")).risk is Risk.HIGH


def test_a_plan_says_whose_it_is_and_where_it_came_from() -> None:
    plan = plan_of(intent("power.state"), caller=OPERATOR)
    assert (plan.asked.role.value, plan.asked.source, plan.asked.correlation_id) == (
        "operator",
        "chat",
        "correlation-1",
    )
