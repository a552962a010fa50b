"""A plan's life, and the hash that a confirmation is bound to."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from config.auth import Role
from config.contracts.plans import Fault, Risk, Status, StepType, worst
from config.errors import Conflict, NotFound
from madre import plan as life
from madre.plan import Asked, Plan, Step, canonical, plan_hash
from tests.support.drafts import NOW

LATER = NOW + timedelta(seconds=5)
BAD = Fault(code="peer_timeout", detail="nobody answered")


def step(number: int, **changes: Any) -> Step:
    given: dict[str, Any] = {
        "number": number,
        "action": "models.disable",
        "step_type": StepType.CALL_HERMES,
        "arguments": {"model": "gemma"},
        "risk": Risk.MED,
    }
    return Step(**{**given, **changes})


def plan(*steps: Step, **changes: Any) -> Plan:
    given: dict[str, Any] = {
        "plan_id": "plan-1",
        "asked": Asked("ana", Role.USER, "disable gemma", "chat", "correlation-1", "talk"),
        "steps": steps or (step(1), step(2)),
        "risk": Risk.MED,
        "reasons": ("MED: because",),
        "status": Status.WAITING,
        "observed": {"model gemma": "enabled"},
        "created_at": NOW,
    }
    return Plan(**{**given, **changes})


def test_a_confirmed_plan_runs_to_its_end() -> None:
    running = life.started(plan(), NOW, "ana")
    assert (running.status, running.confirmed_by, running.started_at) == (Status.RUNNING, "ana", NOW)
    for number in (1, 2):
        running = life.step_begun(running, number, NOW)
        running = life.step_done(running, number, {"changed": True}, LATER)
    done = life.finished(running, LATER)
    assert (done.status, done.error, done.finished_at) == (Status.DONE, None, LATER)
    assert [one.status for one in done.steps] == [Status.DONE, Status.DONE]


def test_a_plan_that_needed_no_confirmation_was_confirmed_by_nobody() -> None:
    assert (life.started(plan(), NOW).confirmed_by, life.started(plan(), NOW).confirmed_at) == (None, None)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.WAITING])
def test_only_a_waiting_plan_is_started(status: Status) -> None:
    with pytest.raises(Conflict):
        life.started(plan(status=status), NOW)


def test_a_failed_step_fails_the_plan_and_what_comes_after_is_not_done() -> None:
    running = life.step_failed(life.step_begun(life.started(plan(), NOW), 1, NOW), 1, BAD, LATER)
    over = life.finished(running, LATER)
    assert (over.status, over.error) == (Status.ERROR, BAD)
    assert over.steps[1].status is Status.CANCELLED
    assert over.steps[1].error == Fault(code="not_done", detail="a step before it failed")


def test_a_step_whose_condition_was_not_found_is_not_a_failure() -> None:
    running = life.step_not_needed(life.started(plan(), NOW), 2, "no drift was found", LATER)
    running = life.step_done(life.step_begun(running, 1, NOW), 1, {}, LATER)
    assert life.finished(running, LATER).status is Status.DONE


def test_a_step_that_is_over_stays_as_it_is() -> None:
    done = life.step_done(life.started(plan(), NOW), 1, {"n": 1}, NOW)
    assert life.step_done(done, 1, {"n": 2}, LATER) == done
    assert life.step_failed(done, 1, BAD, LATER) == done
    assert life.step_not_needed(done, 1, "late", LATER) == done
    with pytest.raises(Conflict):
        life.step_begun(done, 1, LATER)


def test_a_step_that_is_done_once_more_after_a_crash_counts_its_attempts() -> None:
    again = life.step_begun(life.step_begun(plan(), 1, NOW), 1, LATER)
    assert (again.step(1).attempts, again.step(1).started_at) == (2, NOW)


def test_cancelling_ends_what_is_not_over_and_nothing_else() -> None:
    half = life.step_done(life.started(plan(), NOW), 1, {}, NOW)
    ended = life.cancelled(half, "cancelled by ana", LATER)
    assert (ended.status, [one.status for one in ended.steps]) == (Status.CANCELLED, [Status.DONE, Status.CANCELLED])
    assert life.cancelled(ended, "again", LATER) is ended
    done = life.finished(life.step_done(half, 2, {}, NOW), NOW)
    assert life.cancelled(done, "late", LATER) is done
    assert life.failed(done, BAD, LATER) is done
    assert life.finished(ended, LATER) is ended


def test_a_running_plan_is_asked_to_end_once() -> None:
    asked = life.asked_to_end(life.started(plan(), NOW), NOW)
    assert (asked.status, asked.cancel_asked_at) == (Status.RUNNING, NOW)
    assert life.asked_to_end(asked, LATER) is asked
    waiting = plan()
    assert life.asked_to_end(waiting, NOW) is waiting


def test_a_plan_fails_for_what_is_no_steps_fault() -> None:
    over = life.failed(life.started(plan(), NOW), BAD, LATER)
    assert (over.status, over.error, over.finished_at) == (Status.ERROR, BAD, LATER)
    assert {one.status for one in over.steps} == {Status.CANCELLED}


def test_what_was_undone_was_undone_once() -> None:
    undone = life.step_undone(life.step_done(plan(), 1, {}, NOW), 1, NOW)
    assert life.step_undone(undone, 1, LATER).step(1).undone_at == NOW


@pytest.mark.parametrize("number", [0, 3, -1])
def test_a_step_that_is_not_there_is_not_found(number: int) -> None:
    with pytest.raises(NotFound):
        plan().step(number)


@pytest.mark.parametrize(
    "other",
    [
        plan(plan_id="plan-2"),
        plan(risk=Risk.HIGH),
        plan(asked=Asked("eva", Role.USER, "disable gemma", "chat", "correlation-1", "talk")),
        plan(asked=Asked("ana", Role.ADMIN, "disable gemma", "chat", "correlation-1", "talk")),
        plan(asked=Asked("ana", Role.USER, "disable smol", "chat", "correlation-1", "talk")),
        plan(step(1)),
        plan(step(2), step(1)),
        plan(step(1), step(2, action="models.enable")),
        plan(step(1), step(2, arguments={"model": "smol"})),
        plan(step(1), step(2, arguments={"model": "gemma", "force": False})),
        plan(step(1), step(2, risk=Risk.LOW)),
        plan(step(1), step(2, condition="drift")),
        plan(step(1), step(2, not_before=NOW)),
        plan(step(1), step(2, step_type=StepType.NOOP)),
    ],
)
def test_anything_that_a_plan_would_do_differently_is_another_hash(other: Plan) -> None:
    assert plan_hash(other) != plan_hash(plan())


def test_what_happens_to_a_plan_leaves_its_hash() -> None:
    before = plan()
    after = life.finished(life.step_done(life.started(before, NOW, "ana"), 1, {"n": 1}, LATER), LATER)
    assert plan_hash(after) == plan_hash(before)
    assert plan_hash(replace(before, observed={}, reasons=(), windows=("window-1",))) == plan_hash(before)


def test_json_has_one_spelling() -> None:
    assert canonical({"b": 1, "a": {"d": "ñ", "c": None}}) == canonical({"a": {"c": None, "d": "ñ"}, "b": 1})
    assert canonical({"a": "ñ"}) == '{"a":"\\u00f1"}'
    with pytest.raises(ValueError, match="JSON"):
        canonical(float("nan"))


def test_the_worst_counts() -> None:
    assert worst() is Risk.LOW
    assert worst(Risk.LOW, Risk.HIGH, Risk.MED) is Risk.HIGH
    assert worst(Risk.MED, Risk.LOW) is Risk.MED
