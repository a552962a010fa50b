"""What `./vx11 intent` and `./vx11 plans` ask of madre, and how they tell what came of it."""

from __future__ import annotations

import io
from argparse import ArgumentParser, Namespace
from typing import Any

import httpx
import pytest

from config.contracts.asking import IntentAnswer
from config.contracts.plans import Fault, Plan
from scripts.cli import intent, plans
from scripts.cli.asking import asker
from scripts.cli.failure import CommandFailed
from scripts.terminal import Terminal
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
    "plan_hash": "ab12" * 16,
    "facts": {"service switch": "up, held by nobody"},
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


def test_a_refused_order_shows_what_it_was_read_as() -> None:
    read_as = 'VX11::HORMIGUERO action="scan.run"'
    told = f"Nothing was done. That room is not here.\nIt was read as:\n{read_as}"
    fault = {"code": "service_absent", "detail": "That room is not here."}
    assert read_as in answer(status="ERROR", error=fault, response=told, understood=[read_as]).splitlines()


def test_what_was_only_asked_about_is_said_not_to_be_done() -> None:
    said = {"domain": "POWER", "confidence": 1.0, "original_text": "…", "risk": "LOW"}
    withheld = [{**said, "action": "power.close_window"}] * 2
    assert answer(response="Perhaps.", withheld=withheld).splitlines() == [
        "Perhaps.",
        "Not done, because it was not an order: power.close_window",
    ]


def parsed(*words: str) -> Namespace:
    parser = ArgumentParser()
    plans.arguments(parser)
    return parser.parse_args(words)


def gateway_with(reviewed: dict[str, Any]) -> Gateway:
    gateway = Gateway()
    gateway.on("GET", "/madre/plans", {"items": [PLAN], "next_cursor": None})
    gateway.on("GET", "/madre/plans/plan-1", PLAN)
    gateway.on("POST", "/madre/plans/plan-1/review", {**PLAN, **reviewed, "confirm_token": "t"})
    gateway.on("POST", "/madre/plans/plan-1/confirm", {**PLAN, "status": "RUNNING"})
    gateway.on("POST", "/madre/plans/plan-1/cancel", {**PLAN, "status": "CANCELLED"})
    return gateway


def asked(*words: str) -> str:
    with door_to(gateway_with({})) as door:
        return plans.act(parsed(*words), door)


class Confirmed:
    """What came of `plans confirm plan-1 …`, with a person who answers `typed` or with nobody."""

    def __init__(self, *words: str, typed: str | None = None, **reviewed: Any) -> None:
        gateway, out = gateway_with(reviewed), io.StringIO()
        options = parsed("confirm", "plan-1", *words)
        self.questions: list[str] = []

        def ask(question: str) -> bool:
            self.questions.append(out.getvalue() + question)
            return typed == "y"

        terminal = Terminal(out, live=False)
        with door_to(gateway) as door:
            self.code = plans.confirm(options.id, options.yes, door, terminal, None if typed is None else ask)
        self.said = out.getvalue()
        self.confirmed = [body for _, path, body in gateway.asked if path.endswith("/confirm")]


def test_a_sentence_needs_no_quotes_and_may_go_on_with_a_conversation() -> None:
    said = wish("abre", "switch", "--session", "c")
    assert (said["intent_type"], said["text"], said["payload"]) == ("chat", "abre switch", {"session_id": "c"})
    assert wish("--plan", "open switch")["intent_type"] == "plan"


def test_what_came_of_it_is_said_and_how_to_go_on() -> None:
    assert answer(response="Done.") == "Done."
    assert answer(status="RUNNING") == "It goes on: ./vx11 intent --result c-1"
    assert answer(status="RUNNING", plan_id="plan-1") == "It goes on: ./vx11 plans show plan-1"


def test_a_plan_that_waits_is_shown_whole_with_the_line_that_confirms_just_that() -> None:
    gateway = gateway_with({})
    waits = {"correlation_id": "c-1", "status": "WAITING", "mode": "MADRE", "timestamp": WHEN, "plan_id": "plan-1"}
    gateway.on("POST", "/vx11/intent", waits)
    gateway.on("GET", "/vx11/result/c-1", waits)
    for words in (("close", "it"), ("--result", "c-1")):
        parser = ArgumentParser()
        intent.arguments(parser)
        with door_to(gateway) as door:
            said = intent.in_words(*intent.act(parser.parse_args(words), door))
        assert said.splitlines()[-1] == "It waits for you: ./vx11 plans confirm plan-1 --yes ab12ab12ab12"
        assert "  1. PENDING  MED  power.close_window(services=['switch'])" in said


def test_nothing_said_is_told_so() -> None:
    with pytest.raises(CommandFailed, match="Nothing was said"):
        wish()


def test_where_nobody_answers_that_is_all_there_is() -> None:
    fault = Fault(code="off_by_policy", detail="switch is asleep.")
    said = answer(status="ERROR", mode="FALLBACK", degraded=True, error=fault, hint="Open a window.")
    assert said == "Nobody could answer: switch is asleep.\nOpen a window."


def test_plans_are_listed_and_shown() -> None:
    assert asked() == asked("list") == "plan-1  WAITING  MED  close it"
    assert asked("show", "plan-1").splitlines()[1:] == [
        "  hash ab12ab12ab12",
        "  because MED: a guess",
        "  1. PENDING  MED  power.close_window(services=['switch'])",
    ]


def test_others_plans_are_asked_for_by_name() -> None:
    whose: list[str | None] = []

    def none_of(request: httpx.Request) -> httpx.Response:
        whose.append(request.url.params.get("user"))
        return httpx.Response(200, json={"items": [], "next_cursor": None})

    for words in ((), ("list",), ("list", "--user", "a&b"), ("list", "--all")):
        gateway = Gateway()
        gateway.on("GET", "/madre/plans", none_of)
        with door_to(gateway) as door:
            assert plans.act(parsed(*words), door) == "There are no plans."
    assert whose == [None, None, "a&b", "*"]


def test_what_a_step_found_stands_under_it() -> None:
    done = Plan.model_validate({**PLAN, "steps": [{**STEP, "status": "DONE", "result": {"output": "42"}}]})
    assert plans.in_detail(done).splitlines()[-1] == '     {"output": "42"}'


def test_when_and_if_a_step_is_done_is_said() -> None:
    later = {**STEP, "not_before": WHEN, "condition": "problems"}
    shown = plans.in_detail(Plan.model_validate({**PLAN, "steps": [later]}))
    assert shown.endswith(", not before 2026-11-21 12:00:00 UTC, if problems is found")


def test_the_words_of_a_plan_cannot_paint_over_the_terminal() -> None:
    sly = {"text": "hello\x1b[2K", "reasons": ["a\x1b[1A\rb\u202e"], "steps": [{**STEP, "condition": "\x9b2J"}]}
    shown = plans.in_detail(Plan.model_validate({**PLAN, **sly}))
    assert [letter for letter in shown if not letter.isprintable() and letter != "\n"] == []
    assert len(shown.splitlines()) == 4


def test_who_sits_at_a_terminal_is_shown_the_plan_as_it_is_now_and_asked() -> None:
    yes = Confirmed(typed="y")
    assert (yes.code, yes.confirmed) == (0, [{"confirm_token": "t"}])
    assert "power.close_window(services=['switch'])" in yes.questions[0]
    assert yes.said.splitlines()[-1] == "plan-1 is RUNNING"
    no = Confirmed(typed="")
    assert (no.code, no.confirmed) == (1, [])
    assert no.said.splitlines()[-1] == "plan-1 still waits."


GROWN: dict[str, Any] = {
    "risk": "HIGH",
    "plan_hash": "cd34" * 16,
    "reasons": ["MED: a guess", "HIGH: it is in use"],
    "facts": {"service switch": "up, held by w-1", "window w-1": "hold on switch"},
}
CHANGED = [
    "Since it was last shown:",
    "  the risk was MED, and is HIGH",
    "  new: HIGH: it is in use",
    "  service switch was up, held by nobody, and is up, held by w-1",
    "  window w-1 was there is none, and is hold on switch",
]


def test_what_has_changed_is_said_before_the_question() -> None:
    (question,) = Confirmed(typed="y", **GROWN).questions
    assert question.splitlines()[-6:-1] == CHANGED


def test_without_a_terminal_nothing_runs_unless_its_hash_is_named() -> None:
    refused = Confirmed()
    assert (refused.code, refused.confirmed) == (2, [])
    assert refused.said.splitlines()[-1].endswith(": ./vx11 plans confirm plan-1 --yes ab12ab12ab12")
    for named in ("ab12ab12", "AB12AB12AB12", "ab12" * 16):
        assert Confirmed("--yes", named).code == 0
    assert Confirmed("--yes", "ab12ab12", typed="").confirmed, "at a terminal the hash says yes as well"
    other = Confirmed("--yes", "cd34cd34")
    assert (other.code, other.confirmed) == (2, [])


@pytest.mark.parametrize("change", [{"risk": GROWN["risk"], "plan_hash": GROWN["plan_hash"]}, {"facts": {}}])
def test_a_hash_confirms_nothing_that_is_not_as_it_was_last_shown(change: dict[str, Any]) -> None:
    refused = Confirmed("--yes", "ab12ab12", **change)
    assert (refused.code, refused.confirmed) == (2, [])
    assert "Since it was last shown:" in refused.said
    assert "--yes" in refused.said.splitlines()[-1]


@pytest.mark.parametrize("hash_", ["ab12ab1", "nonsense", "", "ab12" * 17])
def test_a_hash_has_eight_characters_or_more(hash_: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        parsed("confirm", "plan-1", "--yes", hash_)
    assert refused.value.code == 2
    assert "at least its first 8 characters" in capsys.readouterr().err


def test_cancelling() -> None:
    assert asked("cancel", "plan-1") == "plan-1 is CANCELLED"


class Typed(io.StringIO):
    """What a person at a terminal types."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("typed", "meant"), [("y\n", True), ("YES\n", True), ("\n", False), ("", False), ("no\n", False)]
)
def test_only_a_yes_is_a_yes(typed: str, meant: bool) -> None:
    out = io.StringIO()
    ask = asker(Terminal(out, live=True), Typed(typed))
    assert ask is not None
    assert ask("Let it run?") is meant
    assert out.getvalue() == "Let it run? [y/N] "


def test_nobody_is_asked_who_does_not_see_the_question_or_cannot_answer() -> None:
    assert asker(Terminal(io.StringIO(), live=False), Typed("y\n")) is None
    assert asker(Terminal(io.StringIO(), live=True), io.StringIO("y\n")) is None
