"""What sentences come to, and what they must never come to."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta

import pytest

from config.services import FLEET
from madre.actions import ACTIONS, Risk
from madre.language import Reading, read
from scripts.intents_accuracy import NOW, Example, examples, shown

EXAMPLES = examples()
BUILT_WITH = [example for example in EXAMPLES if not example.held_out]
HELD_OUT = [example for example in EXAMPLES if example.held_out]
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


def names(examples: list[Example]) -> list[str]:
    return [example.text[:60] for example in examples]


@pytest.mark.parametrize("example", BUILT_WITH, ids=names(BUILT_WITH))
def test_a_sentence_is_read_as_it_should_be(example: Example) -> None:
    reading = example.reading()
    assert [shown(intent) for intent in reading.intents] == list(example.expected)
    assert (reading.is_question, reading.is_negated) == (example.is_question, example.is_negated)


def test_sentences_that_the_grammar_was_not_made_with_are_mostly_understood() -> None:
    right = sum(example.fits(example.reading()) for example in HELD_OUT)
    assert right >= 0.85 * len(HELD_OUT)


def test_there_are_enough_sentences_of_both_languages() -> None:
    for language in ("es", "en"):
        assert sum(example.language == language for example in EXAMPLES) >= 150
    said_of = {intent["action"] for example in EXAMPLES for intent in example.expected}
    assert set(ACTIONS) <= said_of, f"no sentence asks for {sorted(set(ACTIONS) - said_of)}"


@pytest.mark.parametrize("example", EXAMPLES, ids=names(list(EXAMPLES)))
def test_nothing_unsafe_is_read(example: Example) -> None:
    assert example.wrongs(example.reading()) == []


@pytest.mark.parametrize("example", ACTING, ids=names(ACTING))
def test_the_same_sentence_negated_does_not_act(example: Example) -> None:
    if example.is_negated or ends_a_sentence(example.text):
        return
    for negator in {"es": ("no ", "nunca ", "No quiero que "), "en": ("don't ", "never ", "Do not ")}[example.language]:
        reading = said(negator + example.text.strip("¡"))
        assert reading.is_negated
        assert reading.acts == (), negator


def ends_a_sentence(text: str) -> bool:
    """A second sentence is denied by nobody."""
    return any(mark in text.rstrip(".!") for mark in (". ", "; ", "! "))


@pytest.mark.parametrize("example", ACTING, ids=names(ACTING))
def test_the_same_sentence_asked_does_not_act(example: Example) -> None:
    if ends_a_sentence(example.text) or ":" in example.text or "```" in example.text:
        return
    body = example.text.strip("¡!.")
    if example.language == "es":
        forms = [f"¿{body}?", f"¿Puedes decirme si {body}?", f"podrías {body}"]
    else:
        forms = [f"can you {body}?", f"could you please {body}", f"should I {body}?"]
    for form in forms:
        assert said(form).intents == (), form


@pytest.mark.parametrize("example", ACTING, ids=names(ACTING))
def test_the_same_sentence_quoted_is_only_words(example: Example) -> None:
    if '"' in example.text:
        return
    for form in (f'pregunta a switch "{example.text}"', f'ask switch: "{example.text}"'):
        assert [(intent.action, intent.parameters) for intent in said(form).intents] == [
            ("switch.ask", {"prompt": example.text})
        ]


@pytest.mark.parametrize("example", ACTING, ids=names(ACTING))
def test_capitals_and_missing_accents_change_nothing(example: Example) -> None:
    bare = "".join(
        letter for letter in unicodedata.normalize("NFKD", example.text) if not unicodedata.combining(letter)
    )
    for form in (bare, bare.upper()):
        assert [intent.action for intent in said(form).acts] == [intent.action for intent in example.reading().acts]


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


def test_a_very_long_text_is_no_order() -> None:
    reading = said("open switch " * 5000)
    assert reading.intents == ()
    assert reading.warnings
