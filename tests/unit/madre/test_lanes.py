"""The rails: every lane of the contract, and what each rule refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest

from config.errors import Conflict, LaneMissing
from config.services import FLEET
from madre.actions import ACTIONS, Action, StepType, action_named
from madre.lanes import BUILT_IN, Lane, Rule, by_name, lane_named, lane_of, must_keep_to

LANES = by_name(BUILT_IN)


@pytest.mark.parametrize(
    ("name", "owner", "rule"),
    [
        ("execution/stabilize_cpu", "madre", Rule.MADRE_ONLY),
        ("structure/fs_drift", "manifestator", Rule.PLAN_ONLY),
        ("comm/notify", "switch", Rule.OWNER),
        ("db/sanity", "madre", Rule.READ_ONLY),
        ("security/audit", "madre", Rule.REQUIRES_CONFIRMATION),
        ("audio/master", "shub", Rule.OWNER),
        ("audio/anything", "shub", Rule.OWNER),
    ],
)
def test_the_lanes_of_the_contract(name: str, owner: str, rule: Rule) -> None:
    lane = lane_named(LANES, name)
    assert (lane.owner, lane.rule) == (owner, rule)


@pytest.mark.parametrize("name", ["", "audio", "audio/", "video/cut", "comm/shout", "db", "/", "*/x", "comm/*"])
def test_no_lane_is_said_and_never_guessed(name: str) -> None:
    with pytest.raises(LaneMissing) as refused:
        lane_named(LANES, name)
    assert refused.value.code == "lane_missing"
    assert "audio/*" in (refused.value.hint or "")


def test_without_lanes_nothing_leads_anywhere() -> None:
    with pytest.raises(LaneMissing):
        lane_named({}, "comm/notify")


def test_a_lane_closed_by_its_own_name_is_closed_though_all_kinds_be_open() -> None:
    closed = Lane("power", "close_window", "madre", Rule.MADRE_ONLY, is_open=False)
    lanes = by_name([*BUILT_IN, closed])
    with pytest.raises(LaneMissing) as refused:
        lane_of(lanes, action_named("power.close_window"))
    assert "power/close_window" not in (refused.value.hint or "")
    assert lane_of(lanes, action_named("power.open_window")).name == "power/*"


def test_a_lane_of_its_own_comes_before_the_one_for_all_kinds() -> None:
    special = Lane("audio", "master", "madre", Rule.READ_ONLY)
    assert lane_named(by_name([*BUILT_IN, special]), "audio/master") is special


@pytest.mark.parametrize("action", ACTIONS.values(), ids=lambda action: action.name)
def test_every_registered_action_has_a_lane_and_keeps_to_it(action: Action) -> None:
    lane = lane_of(LANES, action)
    must_keep_to(lane, action)
    assert lane.owner in FLEET
    if action.lane is not None:
        assert lane is lane_named(LANES, action.lane)


@pytest.mark.parametrize("action", ACTIONS.values(), ids=lambda action: action.name)
def test_without_a_lane_no_action_is_done(action: Action) -> None:
    own = lane_of(LANES, action)
    with pytest.raises(LaneMissing):
        lane_of(by_name(lane for lane in BUILT_IN if lane is not own), action)


def test_the_lanes_that_nothing_runs_in_yet_are_these() -> None:
    used = {lane_of(LANES, action) for action in ACTIONS.values()}
    assert [lane.name for lane in BUILT_IN if lane not in used] == ["execution/stabilize_cpu"]


@pytest.mark.parametrize(
    ("lane", "action", "told"),
    [
        (Lane("x", "y", "hermes", Rule.OWNER), action_named("power.state"), "belongs to hermes"),
        (Lane("x", "y", "hermes", Rule.MADRE_ONLY), action_named("models.list"), "madre alone"),
        (Lane("x", "y", "madre", Rule.READ_ONLY), action_named("power.apply_policy"), "for reading"),
        (Lane("x", "y", "hermes", Rule.PLAN_ONLY), action_named("models.list"), "only drawn up"),
        (
            Lane("x", "y", "manifestator", Rule.PLAN_ONLY),
            replace(action_named("patch.plan"), writes=("files",)),
            "only drawn up",
        ),
    ],
)
def test_an_action_that_breaks_a_rule_is_refused(lane: Lane, action: Action, told: str) -> None:
    with pytest.raises(Conflict, match=told):
        must_keep_to(lane, action)


def test_a_plan_only_lane_lets_what_draws_up_pass() -> None:
    action = action_named("patch.plan")
    assert action.step_type is StepType.CALL_MANIFESTATOR
    must_keep_to(Lane("x", "y", "manifestator", Rule.PLAN_ONLY), action)
    assert not action.changes
