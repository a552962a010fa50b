"""What sentences come to, and what they must never come to."""

from __future__ import annotations

import itertools
import sys
import unicodedata
from datetime import UTC, datetime, timedelta
from types import FrameType

import pytest
from pydantic import ValidationError

from config.services import FLEET
from madre.actions import ACTIONS, Risk
from madre.language import Intent, Reading, marks, read
from scripts.intents_accuracy import NOW, Example, examples, shown

EXAMPLES = examples()
ACTING = [example for example in EXAMPLES if example.reading().acts]
SERVICES = tuple(FLEET)
DESTRUCTIVE = {
    "es": (
        *("borra", "elimina", "quita", "destruye", "formatea", "vacía", "purga", "suprime", "desinstala", "mata"),
        *("borrar", "eliminar", "bórrame"),
    ),
    "en": (
        *("delete", "remove", "erase", "wipe", "destroy", "format", "purge", "drop", "kill", "uninstall", "nuke"),
        "truncate",
    ),
}
THINGS = {
    "es": ("gemma", "el modelo gemma", "todo", "la base de datos", "los planes", "switch", "la ventana", "voz.wav"),
    "en": ("gemma", "the model gemma", "everything", "the database", "all plans", "switch", "the window", "voice.wav"),
}


def said(text: str) -> Reading:
    return read(text, now=NOW, services=SERVICES)


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.text[:60] for example in EXAMPLES])
def test_a_sentence_is_read_as_it_should_be(example: Example) -> None:
    reading = example.reading()
    assert [shown(intent) for intent in reading.intents] == list(example.expected)
    assert (reading.is_question, reading.is_negated) == (example.is_question, example.is_negated)


def test_there_are_enough_sentences_of_both_languages() -> None:
    for language in ("es", "en"):
        assert sum(example.language == language for example in EXAMPLES) >= 150
    said_of = {intent["action"] for example in EXAMPLES for intent in example.expected}
    assert set(ACTIONS) <= said_of, f"no sentence asks for {sorted(set(ACTIONS) - said_of)}"


def test_nothing_unsafe_is_read() -> None:
    assert [wrong for example in EXAMPLES for wrong in example.wrongs(example.reading())] == []


def test_what_was_said_fits_the_arguments_or_passes_a_bound_of_theirs() -> None:
    """`open switch for 90 minutes` is understood, and refused when a plan is drawn up: a window has an hour at most."""
    for example in ACTING:
        for intent in example.reading().acts:
            if not any(warning.startswith("not said") for warning in intent.warnings):
                assert faults(intent) <= {"less_than_equal"}, example.text


def faults(intent: Intent) -> set[str]:
    try:
        ACTIONS[intent.action or ""].arguments.model_validate(intent.parameters)
    except ValidationError as error:
        return {fault["type"] for fault in error.errors()}
    return set()


def test_the_same_sentences_negated_do_not_act() -> None:
    negators = {"es": ("no ", "nunca ", "No quiero que "), "en": ("don't ", "never ", "Do not ")}
    for example in ACTING:
        if example.is_negated or says_more(example.text):
            continue
        for negator in negators[example.language]:
            reading = said(negator + example.text.strip("¡"))
            assert reading.is_negated, negator + example.text
            assert reading.acts == (), negator + example.text


def says_more(text: str) -> bool:
    """A second sentence is denied by nobody."""
    return any(mark in text.rstrip(".!") for mark in (". ", "; ", "! "))


ASKED = {
    "es": ("¿{}?", "¿Puedes decirme si {}?", "podrías {}", "¿{}"),
    "en": ("{}?", "can you {}?", "could you please {}", "should I {}?"),
}
IN_FRONT = tuple(
    form.replace("_", " ") for form in sorted(marks.FILLERS | marks.WISHES | marks.JOINERS | marks.PRONOUNS)
)
POLITE = {
    "es": ("{} puedes {}", "{}, podrías {}", "{} debo {}"),
    "en": ("{} can you {}", "{}, could you {}", "{} should I {}"),
}


def test_the_same_sentences_asked_do_not_act() -> None:
    for example in ACTING:
        if says_more(example.text) or ":" in example.text:
            continue
        for form in ASKED[example.language]:
            assert_asked(form.format(example.text.strip("¡!.")))


def test_the_same_sentences_asked_behind_any_filler_do_not_act() -> None:
    fillers = itertools.cycle(IN_FRONT)
    asked = [example for example in ACTING if not says_more(example.text) and ":" not in example.text]
    assert len(asked) * 3 > len(IN_FRONT), "each filler has its turn"
    for example in asked:
        for form in POLITE[example.language]:
            assert_asked(form.format(next(fillers), example.text.strip("¡!.")))


def assert_asked(text: str) -> None:
    reading = said(text)
    handed_on = not text.startswith("¿") and {intent.action for intent in reading.acts} <= {"switch.ask"}
    assert reading.intents == () or handed_on, text


def test_the_same_sentences_quoted_are_only_words() -> None:
    for example in ACTING:
        if '"' in example.text:
            continue
        for form in (f'pregunta a switch "{example.text}"', f'ask switch: "{example.text}"'):
            acts = [(intent.action, intent.parameters) for intent in said(form).intents]
            assert acts == [("switch.ask", {"prompt": example.text})], form


def test_capitals_and_missing_accents_change_nothing() -> None:
    for example in ACTING:
        apart = unicodedata.normalize("NFKD", example.text)
        bare = "".join(letter for letter in apart if not unicodedata.combining(letter))
        for form in (bare, bare.upper()):
            assert [one.action for one in said(form).acts] == [one.action for one in example.reading().acts], form


@pytest.mark.parametrize("language", ["es", "en"])
def test_a_destructive_sentence_is_never_low(language: str) -> None:
    for verb in DESTRUCTIVE[language]:
        for thing in THINGS[language]:
            for courtesy in ("", "por favor, ", "please "):
                reading = said(f"{courtesy}{verb} {thing}")
                assert reading.intents, (verb, thing)
                assert all(intent.risk is not Risk.LOW for intent in reading.intents), (verb, thing)


@pytest.mark.parametrize("language", ["es", "en"])
def test_a_mistyped_destructive_sentence_changes_nothing_at_low_risk(language: str) -> None:
    for verb in DESTRUCTIVE[language]:
        for thing in THINGS[language]:
            for wrong in mistyped(verb):
                reading = said(f"{wrong} {thing}")
                for intent in reading.acts:
                    assert intent.risk is not Risk.LOW or not ACTIONS[intent.action or ""].changes, (wrong, thing)


def mistyped(word: str) -> list[str]:
    """A word with each letter dropped, doubled, and swapped with the next."""
    dropped = [word[:i] + word[i + 1 :] for i in range(1, len(word))]
    doubled = [word[: i + 1] + word[i:] for i in range(len(word))]
    swapped = [word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1)]
    return [*dropped, *doubled, *swapped]


def test_what_was_not_understood_is_told() -> None:
    (intent,) = said("open switch and explode").intents
    assert intent.warnings == ("not understood: 'explode'",)
    assert intent.risk is Risk.MED, "half an order that changes something is looked at by a person"


def test_a_mended_word_is_told_and_lowers_the_confidence() -> None:
    reading = said("abrre switch")
    assert reading.warnings == ("'abrre' was read as 'abre'",)
    assert reading.intents[0].confidence < 1


def test_what_is_withheld_is_shown_as_it_was_understood() -> None:
    reading = said("¿puedes borrar gemma?")
    assert [(intent.action, intent.target) for intent in reading.withheld] == [("models.delete", "gemma")]
    assert reading.intents == ()


def test_missing_arguments_are_told() -> None:
    (intent,) = said("delete the model").intents
    assert (intent.action, intent.parameters, intent.warnings) == ("models.delete", {}, ("not said: model",))


def test_a_service_that_is_not_named_here_is_no_service() -> None:
    assert read("open switch", now=NOW, services=("hermes",)).acts == ()


def test_moments_are_reckoned_from_the_time_that_is_told() -> None:
    later = datetime(2030, 1, 1, 23, 50, tzinfo=UTC)
    (intent,) = read("close the window in 20 minutes", now=later, services=SERVICES).intents
    assert intent.not_before == later + timedelta(minutes=20)


SCRAPS = ("", "   ", "?", "...", '"', "``", "¿", ",;:", "\n\n", "🙂", "«", "no", "si", "y o", "'", "VX1", "1", "- -")


@pytest.mark.parametrize("text", SCRAPS)
def test_scraps_come_to_nothing(text: str) -> None:
    assert said(text).acts == ()


def test_reading_takes_work_by_the_length_of_a_text_not_by_its_square() -> None:
    """Work is counted in calls, so that no time is measured."""
    moments = ("abre switch mañana y ", "mañana carga gemma y ahora abre switch y ", "ciérralo a las 9 y ")
    words = ("a ", "a las ", "no ", ", ", "y no ", "veinte y ", "run python ", "abre switch y ", "gemma, ", "de ")
    for part in (*words, *moments):
        said(part * 100)  # tables are made, words are known
        assert calls(part * 400) < 2.5 * calls(part * 200), part


def calls(text: str) -> int:
    """How many calls reading a text takes."""
    count = 0

    def on_call(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(on_call)
    try:
        said(text)
    finally:
        sys.setprofile(None)
    return count


def test_a_very_long_text_is_no_order() -> None:
    reading = said("open switch " * 5000)
    assert reading.intents == ()
    assert reading.warnings
