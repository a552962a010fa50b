"""What the steps of a plan mean for each other."""

from __future__ import annotations

from typing import Any

import pytest

from config.contracts.plans import Status
from madre.plan import Plan
from madre.undo import is_met, to_undo, undo_of
from tests.support.plans import NOW, Told, running_plan, with_step


def done(plan: Plan, number: int, **result: Any) -> Plan:
    return with_step(plan, number, status=Status.DONE, result=result)


SANITY: Told = ("db.sanity", {})
NOTICE: Told = ("comm.notify", {"message": "m"})


def test_a_step_without_a_condition_is_done() -> None:
    assert is_met(running_plan(NOTICE), 1)


@pytest.mark.parametrize(("found", "met"), [(["a hole"], True), ([], False)])
def test_a_condition_is_what_a_step_before_found(found: list[str], met: bool) -> None:
    plan = done(with_step(running_plan(SANITY, NOTICE), 2, condition="problems"), 1, problems=found)
    assert is_met(plan, 2) is met


def test_the_last_step_that_could_find_it_counts() -> None:
    plan = with_step(running_plan(SANITY, ("system.health", {}), NOTICE), 3, condition="problems")
    plan = done(done(plan, 1, problems=["a hole"]), 2, problems=[])
    assert not is_met(plan, 3)


def test_what_nobody_looked_for_or_could_look_for_was_not_found() -> None:
    plan = with_step(running_plan(NOTICE, NOTICE), 2, condition="problems")
    assert not is_met(done(plan, 1, problems=["said by somebody who does not look"]), 2)
    failed = with_step(running_plan(SANITY, NOTICE), 1, status=Status.ERROR, result={"problems": ["x"]})
    assert not is_met(with_step(failed, 2, condition="problems"), 2)


def test_undoing_is_told_what_came_of_the_step() -> None:
    plan = done(running_plan(("power.open_window", {"services": ["hermes"]})), 1, window_id="window-1", changed=True)
    undo = undo_of(plan.step(1))
    assert undo is not None
    assert undo[0].name == "power.close_window"
    assert undo[1].model_dump() == {"window_id": "window-1", "services": ("hermes",)}


def test_the_last_step_is_taken_back_first() -> None:
    plan = running_plan(("models.enable", {"model": "a"}), NOTICE, ("power.open_window", {"services": ["hermes"]}))
    assert to_undo(done(done(done(plan, 1), 2), 3, window_id="window-1")) == [3, 1]


def test_what_is_not_done_or_taken_back_already_is_left() -> None:
    plan = running_plan(("models.enable", {"model": "a"}))
    assert to_undo(plan) == []
    assert to_undo(with_step(plan, 1, status=Status.ERROR)) == []
    assert to_undo(with_step(done(plan, 1), 1, undone_at=NOW)) == []


def test_what_the_step_found_done_already_stays() -> None:
    assert to_undo(done(running_plan(("models.enable", {"model": "a"})), 1, changed=False)) == []


def test_undoing_risks_no_more_than_the_step_did() -> None:
    """A model that was pulled is not deleted because a later step failed: deleting is HIGH, pulling was MED."""
    assert to_undo(done(running_plan(("models.pull", {"model": "a"})), 1, model="a")) == []


def test_what_cannot_be_told_to_its_undoing_is_left() -> None:
    plan = done(running_plan(("power.close_window", {"window_id": "window-1"})), 1, window_id="window-1")
    assert to_undo(plan) == [], "nobody knows which services it held"
