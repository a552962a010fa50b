"""A model's answer: what is taken of it, and that it lowers nothing."""

from __future__ import annotations

import json
from datetime import datetime, time, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from madre.actions import ACTIONS, Risk
from madre.language import Reading, guess, read
from scripts.intents_accuracy import NOW
from tests.support import drafts
from tests.support.drafts import plan_of

SERVICES = ("switch", "hermes")


def guess_at(text: str, answer: str) -> guess.Guess:
    said = read(text, now=NOW, services=SERVICES)
    return guess.read_guess(answer, text, said, now=NOW, services=SERVICES)


def guessed(text: str, *intents: dict[str, Any]) -> Reading:
    return guess_at(text, json.dumps({"intents": intents})).reading


def intent(action: str, risk: str = "LOW", **arguments: Any) -> dict[str, Any]:
    return {"action": action, "arguments": arguments, "risk": risk}


def test_an_order_in_unknown_words_is_understood() -> None:
    (found,) = guessed("gemma ought to be around here", intent("models.pull", model="gemma")).acts
    assert (found.action, found.parameters) == ("models.pull", {"model": "gemma"})
    assert found.confidence == guess.CONFIDENCE
    assert found.warnings == ("guessed by a model",)


def test_a_model_raises_a_risk_and_never_lowers_it() -> None:
    (lowered,) = guessed("haz desaparecer a gemma", intent("models.delete", model="gemma")).acts
    assert lowered.risk is Risk.HIGH
    answers = [intent("models.list", risk="HIGH"), intent("models.list"), intent("models.list", risk="?")]
    found = guess_at("look at the models somehow", json.dumps({"intents": answers}))
    assert [one.risk for one in found.reading.acts] == [Risk.LOW] * 3, "what the words allow is another matter"
    plan = plan_of(*[drafts.intent(one.action) for one in found.reading.acts], opinions=found.opinions)
    assert [step.risk for step in plan.steps] == [Risk.HIGH, Risk.LOW, Risk.HIGH], "what is no risk is HIGH"
    assert "step 1: HIGH: a model's opinion: it guessed at this order, and holds it for HIGH" in plan.reasons


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("gemma ought to be around here", None),
        ("gemma ought to be around here for ten minutes", None),
        ("good morning, gemma ought to be around here", None),
        ("buenos días, gemma tendría que estar por aquí", None),
        ("gemma ought to be around here 'tomorrow at 8'", None),
        ("gemma ought to be around here tomorrow at 8", datetime.combine(NOW + timedelta(days=1), time(8), NOW.tzinfo)),
        ("gemma debería estar por aquí dentro de dos horas", NOW + timedelta(hours=2)),
    ],
)
def test_when_it_is_to_be_done_the_text_says(text: str, moment: datetime | None) -> None:
    (found,) = guessed(text, intent("models.pull", model="gemma")).acts
    assert found.not_before == moment


@pytest.mark.parametrize(
    "text",
    [
        "gemma ought to be around here in a few hours",
        "gemma ought to be around here some time later",
        "gemma ought to be around here 24/12",
        "gemma tendría que estar por aquí más tarde",
    ],
)
def test_a_moment_that_cannot_be_placed_is_not_guessed_at(text: str) -> None:
    reading = guessed(text, intent("models.pull", model="gemma"))
    assert reading.acts == ()
    assert "it says when" in reading.warnings[-1]


@pytest.mark.parametrize(
    "text",
    [
        "gemma ought to be around here next week",
        "gemma ought to be around here 2026-12-24",
        "gemma ought to be around here on 24/12",
        "gemma ought to be around here on the 3rd of december at noon",
        "gemma tendría que estar por aquí el fin de semana",
    ],
)
def test_nor_at_a_day_that_the_grammar_does_not_know(text: str) -> None:
    reading = guessed(text, intent("models.pull", model="gemma"))
    assert reading.acts == ()
    assert "is no day that is known here" in reading.warnings[0]


def test_of_two_moments_none_is_guessed_at() -> None:
    reading = guessed(
        "gemma ought to be around here at 8 tomorrow and at 9 on friday", intent("models.pull", model="gemma")
    )
    assert reading.acts == ()
    assert "are two moments" in " ".join(reading.warnings)


def test_nor_is_which_of_several_acts_a_moment_is_for() -> None:
    both = [intent("models.pull", model="gemma"), intent("models.list")]
    assert len(guessed("gemma ought to be around here, and a look at all of it", *both).acts) == 2
    assert guessed("gemma ought to be around here, and tomorrow a look at all of it", *both).acts == ()


def test_what_would_change_something_is_at_least_med() -> None:
    (found,) = guessed("switch should be up soon", intent("power.open_window", services=["switch"])).acts
    assert found.risk is Risk.MED


def test_destructive_words_make_it_high_whatever_the_model_says() -> None:
    (found,) = guessed("gemma must get deleted soon", intent("models.disable", model="gemma")).acts
    assert found.risk is Risk.HIGH


def test_what_nobody_said_is_told() -> None:
    (found,) = guessed("show whatever is there", intent("task.show", task_id="spawn-00000000")).acts
    assert found.risk is Risk.MED
    assert "nobody said 'spawn-00000000'" in found.warnings


@pytest.mark.parametrize("text", ["¿puedes borrar gemma?", "don't delete gemma", "if it rains delete gemma"])
def test_a_model_is_not_asked_what_was_asked_or_denied(text: str) -> None:
    said = read(text, now=NOW, services=SERVICES)
    assert not guess.may_be_guessed(said)
    assert guessed(text, intent("models.delete", model="gemma")) == said


def test_an_understood_sentence_stays_as_it_is() -> None:
    assert [found.action for found in guessed("open switch", intent("models.list")).acts] == ["power.open_window"]


@pytest.mark.parametrize(
    "answer", ["", "sure!", "[]", "{}", '{"intents": 3}', '{"intents": [3]}', '{"intents": [{}]}', "null", '"x"']
)
def test_an_answer_out_of_form_is_told_and_nothing_else(answer: str) -> None:
    found = guess_at("do something odd", answer)
    assert (found.reading.acts, found.opinions) == ((), ())
    assert found.reading.warnings


def test_unknown_actions_and_wrong_arguments_are_dropped() -> None:
    reading = guessed(
        "something odd",
        intent("format.disk"),
        intent("models.delete", model="../etc"),
        intent("models.delete"),
        intent("power.open_window", services=["nobody"]),
        intent("models.list", surprise=1),
    )
    assert reading.acts == ()
    assert len(reading.warnings) >= 4


def test_the_schema_names_each_action_and_its_arguments() -> None:
    (branch,) = [one["anyOf"] for one in [guess.schema()["properties"]["intents"]["items"]]]
    assert [one["properties"]["action"]["const"] for one in branch] == list(ACTIONS)
    for one, action in zip(branch, ACTIONS.values(), strict=True):
        arguments: type[BaseModel] = action.arguments
        assert set(one["properties"]["arguments"].get("properties", {})) == set(arguments.model_fields)
        assert one["properties"]["arguments"]["additionalProperties"] is False


def test_the_schema_is_small_enough_for_a_small_model() -> None:
    assert len(json.dumps(guess.schema())) < 32_768
    assert len(guess.instructions()) < 4_000
    assert all(name in guess.instructions() for name in ACTIONS)
