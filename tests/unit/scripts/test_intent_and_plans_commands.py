"""What `./vx11 intent` and `./vx11 plans` ask of madre, and how they tell what came of it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from config.contracts.asking import IntentAnswer
from config.contracts.plans import Fault, Plan
from scripts.cli import intent, plans
from tests.support.front_door import Gateway, door_to

WHEN = "2026-11-21T12:00:00Z"
STEP = {
    "number": 1,
    "action": "power.close_window",
    "title": "Close a window",
    "owner": "madre",
    "step_type": "POWER_WINDOW",
    "arguments": {"services": ["switch"], "window_id": None},
    "condition": None,
    "not_before": None,
    "risk": "MED",
    "reversible": True,
    "status": "PENDING",
    "attempts": 0,
    "result": None,
    "error": None,
    "started_at": None,
    "finished_at": None,
    "undone_at": None,
}
PLAN = {
    "plan_id": "plan-1",
    "user": "admin",
    "text": "close it",
    "source": "chat",
    "session_id": None,
    "correlation_id": "c",
    "status": "WAITING",
    "risk": "MED",
    "reasons": ["MED: a guess"],
    "plan_hash": "ab",
    "steps": [STEP],
    "error": None,
    "created_at": WHEN,
    "confirmed_at": None,
    "started_at": None,
    "finished_at": None,
}


def wish(*words: str) -> dict[str, Any]:
    parser = ArgumentParser()
    intent.arguments(parser)
    return intent.wish_of(parser.parse_args(words)).model_dump()


def answer(**fields: Any) -> str:
    given = {"correlation_id": "c-1", "status": "DONE", "mode": "MADRE", "timestamp": WHEN, **fields}
    return intent.in_words(IntentAnswer.model_validate(given))


def asked(*words: str) -> tuple[list[tuple[str, str, Any]], str]:
    gateway = Gateway()
    gateway.on("GET", "/madre/plans", {"items": [PLAN], "next_cursor": None})
    gateway.on("GET", "/madre/plans/plan-1", PLAN)
    gateway.on("POST", "/madre/plans/plan-1/review", {**PLAN, "confirm_token": "t"})
    gateway.on("POST", "/madre/plans/plan-1/confirm", {**PLAN, "status": "RUNNING"})
    gateway.on("POST", "/madre/plans/plan-1/cancel", {**PLAN, "status": "CANCELLED"})
    parser = ArgumentParser()
    plans.arguments(parser)
    with door_to(gateway) as door:
        said = plans.act(parser.parse_args(words), door)
    return gateway.asked, said


def test_a_sentence_needs_no_quotes_and_may_go_on_with_a_conversation() -> None:
    said = wish("abre", "switch", "--session", "c")
    assert (said["intent_type"], said["text"], said["payload"]) == ("chat", "abre switch", {"session_id": "c"})
    assert wish("--plan", "open switch")["intent_type"] == "plan"


def test_what_came_of_it_is_said_and_how_to_go_on() -> None:
    assert answer(response="Done.") == "Done."
    assert answer(status="WAITING", plan_id="plan-1", response="It waits.") == "It waits.\n./vx11 plans confirm plan-1"
    assert answer(status="RUNNING") == "It goes on: GET /vx11/result/c-1"


def test_where_nobody_answers_that_is_all_there_is() -> None:
    fault = Fault(code="off_by_policy", detail="switch is asleep.")
    said = answer(status="ERROR", mode="FALLBACK", degraded=True, error=fault, hint="Open a window.")
    assert said == "Nobody could answer: switch is asleep.\nOpen a window."


def test_plans_are_listed_and_shown() -> None:
    assert asked()[1] == asked("list")[1] == "plan-1  WAITING  MED  close it"
    assert asked("show", "plan-1")[1].splitlines()[1:] == [
        "  because MED: a guess",
        "  1. PENDING  power.close_window(services=['switch'])",
    ]


def test_what_a_step_found_stands_under_it() -> None:
    done = Plan.model_validate({**PLAN, "steps": [{**STEP, "status": "DONE", "result": {"output": "42"}}]})
    assert plans.in_detail(done).splitlines()[-1] == '     {"output": "42"}'


def test_confirming_looks_first_and_spends_the_fresh_token() -> None:
    calls, said = asked("confirm", "plan-1")
    assert [path for _, path, _ in calls] == ["/madre/plans/plan-1/review", "/madre/plans/plan-1/confirm"]
    assert calls[1][2] == {"confirm_token": "t"}
    assert said.splitlines()[-1] == "plan-1 is RUNNING"


def test_cancelling() -> None:
    assert asked("cancel", "plan-1")[1] == "plan-1 is CANCELLED"
