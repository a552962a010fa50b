"""What is spoken of without being asked for: polite questions, orders that are taken back, branches."""

from __future__ import annotations

import pytest

from config.services import FLEET
from madre.language import Reading, read
from scripts.intents_accuracy import NOW


def said(text: str) -> Reading:
    return read(text, now=NOW, services=tuple(FLEET))


@pytest.mark.parametrize(
    "text",
    [
        "me puedes abrir switch",
        "nos puedes cerrar la ventana",
        "gracias, puedes cerrar la ventana",
        "perfecto, podrías abrir switch",
        "hi there, could you open switch",
        "thanks, could you close the window",
        "great, can you open switch",
        "now can you open switch",
        "then can you stop autonomy",
        "y ahora debo cerrar la ventana",
        "a ver, puedes cerrar la ventana",
        "open switch and can you close the window",
        "mañana a las 8 puedes abrir switch",
        "switch puedes abrirlo",
        "thanks, how do I open switch",
    ],
)
def test_a_polite_question_does_not_act(text: str) -> None:
    reading = said(text)
    assert reading.is_question
    assert reading.intents == ()


@pytest.mark.parametrize("text", ["show the models that can run here", "muestra los modelos que puedes cargar"])
def test_what_can_be_done_is_no_question(text: str) -> None:
    assert not said(text).is_question


@pytest.mark.parametrize(
    "text",
    [
        "Open switch. Don't open it.",
        "Abre switch. No lo abras.",
        "open switch. Actually no.",
        "open switch. Actually, don't.",
        "open switch. No, wait.",
        "open switch, no wait",
        "open switch. Sorry, no.",
        "open switch but don't open it",
        "carga gemma. No la cargues.",
        "load gemma. Please do not load it.",
        "load gemma. Don't load the model.",
        "stop autonomy. Do not stop autonomy.",
        "cierra la ventana; no la cierres",
        "open switch. Load gemma. Don't do that after all.",
        "open switch, not switch",
        "do n't open switch",
    ],
)
def test_what_is_taken_back_is_not_done(text: str) -> None:
    reading = said(text)
    assert reading.is_negated
    assert reading.acts == ()
    assert reading.withheld


def test_what_takes_it_back_is_told() -> None:
    assert said("open switch. No, wait.").warnings == ("nothing is done: 'No, wait' takes it back",)


@pytest.mark.parametrize(
    ("text", "acts"),
    [
        ("open switch. don't load gemma.", ["power.open_window"]),
        ("open switch, don't load gemma", ["power.open_window"]),
        ("open switch. don't open hermes.", ["power.open_window"]),
        ("carga gemma y no cargues smollm", ["models.load"]),
        ("open switch, not hermes", ["power.open_window"]),
        ("open switch and nothing else", ["power.open_window"]),
        ("restart hermes. It does not answer.", ["service.restart"]),
        ("reinicia hermes, no responde", ["service.restart"]),
        ("abre switch sin borrar gemma", ["power.open_window"]),
        ("Open switch. Don't open it. Load gemma.", ["models.load"]),
    ],
)
def test_a_no_to_something_else_takes_nothing_back(text: str, acts: list[str]) -> None:
    assert [intent.action for intent in said(text).acts] == acts


@pytest.mark.parametrize(
    "text",
    [
        "if there is drift prepare a patch, otherwise close the window",
        "if there is drift prepare a patch otherwise close the window",
        "if there is drift prepare a patch, else close the window",
        "si hay drift prepara un parche, de lo contrario cierra la ventana",
        "si hay drift prepara un parche; en caso contrario, cierra la ventana",
        "si hay drift prepara un parche, si no cierra la ventana",
        "si hay drift prepara un parche, sino cierra la ventana",
        "if there is drift prepare a patch, if not close the window",
    ],
)
def test_the_other_branch_is_never_done(text: str) -> None:
    reading = said(text)
    assert "power.close_window" not in {intent.action for intent in reading.acts}
    withheld = [intent for intent in reading.withheld if intent.action == "power.close_window"]
    assert len(withheld) == 1
    assert any(warning.startswith("nothing is done") for warning in reading.warnings)


def test_no_but_stays_no_branch() -> None:
    (intent,) = said("no abras switch sino hermes, abre hermes").withheld[:1]
    assert intent.action == "power.open_window"
