"""The registry hangs together: names, owners, undo, phrases."""

from __future__ import annotations

import pytest

from config.errors import NotFound
from config.services import FLEET
from madre.actions import ACTIONS, Action, Heard, Risk, action_named
from madre.language.hearing import listened
from madre.language.lexicon import vocabulary

ALL = tuple(ACTIONS.values())


def test_an_action_is_found_by_name_and_near_names_are_told() -> None:
    assert action_named("models.delete").risk is Risk.HIGH
    with pytest.raises(NotFound) as caught:
        action_named("model.delete")
    assert "models.delete" in (caught.value.hint or "")


@pytest.mark.parametrize("action", ALL, ids=list(ACTIONS))
def test_an_action_names_what_there_is(action: Action) -> None:
    assert action.owner in FLEET
    assert action.undo is None or action.undo in ACTIONS
    assert action.title[0].isupper()
    assert action.changes or action.risk is not Risk.HIGH
    assert action.changes or action.undo is None


@pytest.mark.parametrize("action", ALL, ids=list(ACTIONS))
def test_an_action_can_be_said_in_words_of_the_lexicon(action: Action) -> None:
    known = {concept for concepts in vocabulary().words.values() for concept in concepts}
    arguments = {argument.name for argument in listened(action.arguments)}
    assert action.says
    for phrase in action.says:
        for word in phrase.split():
            assert word.strip("{}") in (arguments if word.startswith("{") else known), phrase


@pytest.mark.parametrize("action", ALL, ids=list(ACTIONS))
def test_what_an_action_must_be_told_can_be_said(action: Action) -> None:
    heard = {argument.name for argument in listened(action.arguments)}
    required = {name for name, field in action.arguments.model_fields.items() if field.is_required()}
    assert required <= heard


def test_no_two_actions_have_the_same_phrase() -> None:
    phrases = [(frozenset(phrase.split()), phrase.split()[0]) for action in ALL for phrase in action.says]
    assert len(phrases) == len(set(phrases))


def test_what_is_not_reversible_has_at_least_med_risk() -> None:
    assert all(action.risk is not Risk.LOW for action in ALL if action.changes and not action.reversible)


def test_every_way_of_hearing_is_used() -> None:
    assert {argument.how for action in ALL for argument in listened(action.arguments)} == set(Heard)
