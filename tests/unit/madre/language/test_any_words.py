"""Whatever words are put together: reading holds, a leading negation denies, words of loss are never LOW."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from config.services import FLEET
from madre.actions import ACTIONS, Risk
from madre.language import marks, numerals, read
from madre.language.lexicon import vocabulary
from scripts.intents_accuracy import NOW

SERVICES = tuple(FLEET)
LOSING = tuple(form for form, concepts in vocabulary().words.items() if concepts & marks.LOSING and "_" not in form)
WORDS = st.sampled_from(
    [
        *(form.replace("_", " ") for form in vocabulary().words),
        *(form.replace("_", " ") for form in (marks.ALL | numerals.KNOWN) - marks.CONTRASTS),
        *(*SERVICES, "gemma", "smollm2-135m", "voz.wav", "spawn-1a2b3c4d", "10", "15:30", "270m", "https://a.example"),
        *(",", ":", "?", '"', "`", "(", "&"),
    ]
)
SENTENCES = st.lists(WORDS, min_size=1, max_size=10)
HANDING_ON = {"switch.ask", "comm.notify"}  # their words are quoted, whatever they say
EXAMPLES = settings(derandomize=True, max_examples=200, deadline=None)


@EXAMPLES
@given(st.text(max_size=80))
def test_any_text_can_be_read(text: str) -> None:
    if not text.lstrip().lower().startswith("vx11::"):
        intents = read(text, now=NOW, services=SERVICES).intents
        assert all(intent.original_text in text for intent in intents)


@EXAMPLES
@given(SENTENCES)
def test_a_leading_negation_denies_the_sentence(words: list[str]) -> None:
    text = " ".join(words)
    for negator in ("no", "don't", "nunca"):
        assert read(f"{negator} {text}", now=NOW, services=SERVICES).acts == (), text


@EXAMPLES
@given(SENTENCES, st.sampled_from(LOSING), st.integers(0, 9))
def test_words_of_loss_are_never_low(words: list[str], losing: str, place: int) -> None:
    words.insert(min(place, len(words)), losing)
    text = " ".join(words)
    for intent in read(text, now=NOW, services=SERVICES).intents:
        if losing in intent.original_text.lower().split() and intent.action not in HANDING_ON:
            changes = intent.action is None or ACTIONS[intent.action].changes
            quoted = any(mark in text for mark in '"`:')
            assert intent.risk is not Risk.LOW or (quoted and not changes), (text, intent)


@EXAMPLES
@given(SENTENCES)
def test_a_question_never_acts(words: list[str]) -> None:
    body = " ".join(word for word in words if word not in '?":`')
    assert read(f"¿{body}?", now=NOW, services=SERVICES).acts == ()
