"""What a sentence may leave out because it was spoken of just before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from config import context7
from config.context7 import Bounds, Conversation, Turn
from madre.actions import ACTIONS
from madre.inheritance import completed, spelled_out, spoken_of
from madre.language import Intent

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
BOUNDS = Bounds(3600, 40, 10)


def intent(action: str | None, **parameters: Any) -> Intent:
    domain = ACTIONS[action].domain if action else next(iter(ACTIONS.values())).domain
    return Intent(domain, action, parameters=parameters)


def after(*intents: Intent, plan_id: str | None = None) -> Conversation:
    said = [Turn(NOW, "user", "x"), Turn(NOW, "assistant", "y", plan_id=plan_id)]
    return context7.gone_on(context7.begun("ana", "c", NOW, BOUNDS), said, spoken_of(intents, NOW), NOW, BOUNDS)


def filled(now_said: Intent, *before: Intent, later: timedelta = timedelta()) -> dict[str, Any]:
    return completed(now_said, after(*before), NOW + later).parameters


OPEN_SWITCH = intent("power.open_window", services=["switch"], ttl_sec=60)


def test_extend_it_means_the_window_just_opened() -> None:
    longer = intent("power.extend_window", ttl_sec=600)
    result = completed(longer, after(OPEN_SWITCH), NOW)
    assert result.parameters == {"ttl_sec": 600, "services": ["switch"]}
    assert result.target == "switch"
    assert result.warnings == ("services is switch, as spoken of before",)


def test_one_of_a_list_and_a_list_of_one() -> None:
    assert filled(intent("service.restart"), OPEN_SWITCH) == {"service": "switch"}
    both = intent("power.open_window", services=["switch", "hermes"])
    assert filled(intent("service.restart"), both) == {}
    assert filled(intent("power.open_window"), intent("service.start", service="hermes")) == {"services": ["hermes"]}


def test_a_model_is_remembered_over_what_points_at_nothing() -> None:
    assert filled(intent("models.load"), intent("models.pull", model="gemma"), intent("models.list"), OPEN_SWITCH) == {
        "model": "gemma"
    }


def test_no_duration_or_choice_is_ever_taken_over() -> None:
    again = filled(
        intent("power.open_window"), intent("power.open_window", services=["switch"], ttl_sec=5, mode="hold")
    )
    assert again == {"services": ["switch"]}


def test_what_a_sentence_points_at_itself_stands_alone() -> None:
    before = intent("models.pull", model="gemma", source="hf:a/b")
    assert filled(intent("models.pull", model="smollm2"), before) == {"model": "smollm2"}
    assert filled(intent("power.close_window", window_id="window-1"), OPEN_SWITCH) == {"window_id": "window-1"}


def test_what_is_optional_is_not_made_up_from_something_alike() -> None:
    assert filled(intent("power.close_window"), intent("service.restart", service="switch")) == {}


@pytest.mark.parametrize(("minutes", "parameters"), [(15, {"services": ["switch"]}), (16, {})])
def test_only_for_a_short_while(minutes: int, parameters: dict[str, Any]) -> None:
    assert filled(intent("power.close_window"), OPEN_SWITCH, later=timedelta(minutes=minutes)) == parameters


def test_an_identifier_is_of_its_own_kind() -> None:
    shown = intent("task.show", task_id="spawn-1234abcd")
    assert filled(intent("task.kill"), shown) == {"task_id": "spawn-1234abcd"}
    assert filled(intent("plans.cancel"), shown) == {}
    spoken = after(OPEN_SWITCH, plan_id="plan-1")
    assert completed(intent("plans.cancel"), spoken, NOW).parameters == {"plan_id": "plan-1"}


def test_without_a_conversation_or_an_action_nothing_is_filled_in() -> None:
    for lone in (intent("power.close_window"), intent(None)):
        assert completed(lone, None, NOW) is lone
    assert completed(intent(None), after(OPEN_SWITCH), NOW).parameters == {}


@pytest.mark.parametrize(
    ("text", "before", "spelled"),
    [
        ("please close it", OPEN_SWITCH, "please close window switch"),
        ("ciérrala", OPEN_SWITCH, "ciérra window switch"),
        ("extiéndela diez minutos", OPEN_SWITCH, "extiénde window switch diez minutos"),
        ("restart it", intent("service.start", service="hermes"), "restart hermes"),
        ("bórralo", intent("models.pull", model="gemma"), "bórra model gemma"),
        ("kill it", intent("task.show", task_id="spawn-1234abcd"), "kill task spawn-1234abcd"),
        ("close everything", OPEN_SWITCH, None),
        ("put it on it", OPEN_SWITCH, None),
        ("close it", intent("power.state"), None),
    ],
)
def test_a_pronoun_is_what_was_spoken_of_last(text: str, before: Intent, spelled: str | None) -> None:
    assert spelled_out(text, after(before), NOW) == spelled
    assert spelled_out(text, after(before), NOW + timedelta(minutes=16)) is None
    assert spelled_out(text, None, NOW) is None
