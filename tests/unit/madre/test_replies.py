"""Madre's own words on plans, and what a model is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from config.contracts.plans import Fault
from config.errors import Conflict
from madre import plan as life
from madre import replies, shown
from madre.plan import Plan
from madre.replies import Known
from tests.support.drafts import NOW, intent, plan_of

LATER = NOW + timedelta(seconds=5)


def waiting(**parameters: Any) -> Plan:
    return plan_of(intent("power.open_window", services=["switch"], **parameters))


def test_a_waiting_plan_says_what_it_would_do_and_why_it_waits() -> None:
    said = replies.said_of(shown.plan(waiting(mode="hold")))
    assert said.splitlines()[0].endswith("waits for your confirmation:")
    assert "1. Open a window on services (services switch, ttl_sec 600.0, mode hold)" in said


def test_a_done_plan_says_what_it_found() -> None:
    running = life.step_begun(life.started(waiting(), NOW), 1, NOW)
    done = shown.plan(life.finished(life.step_done(running, 1, {"window_id": "w-1"}, LATER), LATER))
    assert replies.said_of(done).splitlines() == [
        "Done, as plan plan-1:",
        '1. Open a window on services (services switch, ttl_sec 600.0, mode ttl): {"window_id": "w-1"}',
    ]
    assert (replies.status_of(done), replies.results(done)) == ("DONE", {"1": {"window_id": "w-1"}})


def test_a_failed_and_a_cancelled_plan_say_why() -> None:
    running = life.step_begun(life.started(waiting(), NOW), 1, NOW)
    fault = Fault(code="start_failed", detail="switch would not come up")
    failed = shown.plan(life.finished(life.step_failed(running, 1, fault, LATER), LATER))
    assert "failed: switch would not come up" in replies.said_of(failed)
    cancelled = shown.plan(life.cancelled(waiting(), "cancelled by olga", LATER))
    assert replies.said_of(cancelled).startswith("Plan plan-1 was cancelled:")
    assert replies.status_of(failed) == replies.status_of(cancelled) == "ERROR"


def test_the_token_is_shown_beside_the_words_and_never_in_them() -> None:
    plan = shown.plan(waiting(mode="hold"), "the-token", LATER)
    how = replies.confirmation(plan)
    assert how is not None
    assert (how.confirm_token, how.expires_at) == ("the-token", LATER)
    assert "the-token" not in replies.said_of(plan) + how.call
    assert replies.confirmation(shown.plan(waiting())) is None


@pytest.mark.parametrize(
    ("action", "parameters", "mode"),
    [
        ("task.run_python", {"code": "print(1)"}, "SPAWNER"),
        ("power.state", {}, "MADRE"),
        ("models.list", {}, "MADRE"),
    ],
)
def test_who_answers(action: str, parameters: dict[str, Any], mode: str) -> None:
    assert replies.mode_of(shown.plan(plan_of(intent(action, **parameters)))) == mode


def test_a_refusal_says_its_reason_and_what_would_mend_it() -> None:
    assert replies.refused(Conflict("It is busy.", hint="Wait.")) == "Nothing was done. It is busy. Wait."
    assert replies.refused(Conflict("It is busy.")) == "Nothing was done. It is busy."


def test_a_model_is_told_what_is_so_and_what_its_caller_adds() -> None:
    known = Known(NOW, "solo_madre", {"switch": "ready", "hermes": "asleep"}, [("switch",)], ["plan-1"])
    told = replies.briefing(known, {"page": "power"})
    assert '"awake": ["switch"], "asleep": ["hermes"]' in told
    assert '"plans_waiting_for_this_person": ["plan-1"]' in told
    assert told.endswith('{"page": "power"}')
    assert "adds" not in replies.briefing(known, {})
