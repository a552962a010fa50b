"""A model's answer: what is taken of it, and that it lowers nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from madre.actions import ACTIONS, Risk
from madre.language import Reading, guess, read
from scripts.intents_accuracy import NOW

SERVICES = ("switch", "hermes")


def guessed(text: str, *intents: dict[str, Any]) -> Reading:
    said = read(text, now=NOW, services=SERVICES)
    return guess.read_guess(json.dumps({"intents": intents}), text, said)


def intent(action: str, risk: str = "LOW", **arguments: Any) -> dict[str, Any]:
    return {"action": action, "arguments": arguments, "risk": risk}


def test_an_order_in_unknown_words_is_understood() -> None:
    (found,) = guessed("gemma ought to be around here", intent("models.pull", model="gemma")).acts
    assert (found.action, found.parameters) == ("models.pull", {"model": "gemma"})
    assert found.confidence == guess.CONFIDENCE
    assert found.warnings == ("guessed by a model",)


def test_a_model_raises_a_risk_and_never_lowers_it() -> None:
    (lowered,) = guessed("haz desaparecer a gemma", intent("models.delete", model="gemma")).acts
    (raised,) = guessed("look at the models somehow", intent("models.list", risk="HIGH")).acts
    (unsaid,) = guessed("look at the models somehow", {"action": "models.list", "arguments": {}, "risk": "?"}).acts
    assert (lowered.risk, raised.risk, unsaid.risk) == (Risk.HIGH, Risk.HIGH, Risk.MED)


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
    said = read("do something odd", now=NOW, services=SERVICES)
    reading = guess.read_guess(answer, "do something odd", said)
    assert reading.acts == ()
    assert reading.warnings


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
