"""Several things in one order: an intent for each of them."""

from __future__ import annotations

import pytest

from config.services import FLEET
from madre.language import Reading, read
from scripts.intents_accuracy import NOW

ONE, OTHER = "spawn-1a2b3c4d", "spawn-1a2b3c4e"


def said(text: str) -> Reading:
    return read(text, now=NOW, services=tuple(FLEET))


@pytest.mark.parametrize(
    ("text", "action", "targets"),
    [
        ("apaga switch y hermes", "service.stop", ["switch", "hermes"]),
        ("apaga hermes y switch", "service.stop", ["hermes", "switch"]),
        ("stop hermes, switch and the service spawner", "service.stop", ["hermes", "switch", "spawner"]),
        ("restart switch and hermes", "service.restart", ["switch", "hermes"]),
        ("check the health of switch and hermes", "system.health", ["switch", "hermes"]),
        (f"mata las tareas {ONE} y {OTHER}", "task.kill", [ONE, OTHER]),
        (f"mata la tarea {ONE} y la tarea {OTHER}", "task.kill", [ONE, OTHER]),
        ("cancela el plan plan-1 y plan-2", "plans.cancel", ["plan-1", "plan-2"]),
        ("master a.wav and b.wav", "audio.master", ["a.wav", "b.wav"]),
        ("abre una ventana para hermes y switch", "power.open_window", ["hermes,switch"]),
    ],
)
def test_each_of_them_is_meant(text: str, action: str, targets: list[str]) -> None:
    intents = said(text).intents
    assert [(intent.action, intent.target) for intent in intents] == [(action, target) for target in targets]
    assert all(intent.warnings == () for intent in intents)


def test_they_means_all_of_them() -> None:
    intents = said("download gemma and smollm and load them").intents
    assert [(intent.action, intent.target) for intent in intents[2:]] == [
        ("models.load", "gemma"),
        ("models.load", "smollm"),
    ]
    started = said("stop switch and hermes, then start them").intents[2:]
    assert [(intent.action, intent.target) for intent in started] == [
        ("service.start", "switch"),
        ("service.start", "hermes"),
    ]


def test_what_is_not_listed_is_left_and_told() -> None:
    (intent,) = said("stop switch hermes").intents
    assert intent.warnings == ("not understood: 'hermes'",)


def test_switch_is_a_verb_where_it_changes_something() -> None:
    assert [intent.action for intent in said("stop hermes and switch to eco mode").intents] == [
        "service.stop",
        "switch.set_mode",
    ]
