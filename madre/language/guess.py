"""What a model makes of a sentence that the grammar does not know: the form it is forced into, and the reading of it.

The form is a JSON schema of the registered actions, so a model can name nothing else. It is a guess all the same: it
is not asked for questions and negations, what it would change is at least MED, what it names that nobody said is MED
too, and the risk it gives is an opinion beside all others, which can only raise. When something is to be done, a model
is not asked: the text itself says it, or the guess is not taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from config.contracts.plans import worst
from madre.actions import ACTIONS, Action, Risk
from madre.language import numerals
from madre.language.clauses import CHECKABLE
from madre.language.intent import Intent, Reading
from madre.language.reading import destructive_words
from madre.language.times import with_spans
from madre.language.words import Kind, Token, plain, tokens_of
from madre.risk.finding import Opinion

MOST = 4  # intents of one answer
CONFIDENCE = 0.5
LONGEST_VALUE = 1000  # characters of one argument that a model may write
_TIMES = frozenset(  # words that say when, and where they stay outside of a moment that was read, nobody knows when
    word
    for table in (numerals.DAYS, numerals.WEEKDAYS, numerals.NAMED_TIMES, numerals.HALF_DAYS, numerals.UNITS)
    for word in table
    if len(word) > 2 and numerals.UNITS.get(word) != 1
)
_TIMES |= numerals.MONTHS - numerals.words("may march")
_TIMES |= numerals.words("later tonight weekend finde mes meses month months ano anos year years")
_GREETING = frozenset(["buenos", "buenas", "buen", "good"])
_DATE = re.compile(r"\d{4}-\d\d?-\d\d?.*|\d\d?/\d\d?(/\d{2,4})?")
_KEPT = frozenset(["type", "enum", "const", "anyOf", "items", "properties", "required", "minItems", "maxItems"])


@dataclass(frozen=True, slots=True)
class Guess:
    """A reading, with what was taken of a model's answer: `opinions` are what the model holds of each of its intents,
    in their order; none where nothing was taken."""

    reading: Reading
    opinions: tuple[Opinion, ...] = ()


def may_be_guessed(said: Reading) -> bool:
    """Whether a model may be asked what a text wants: nothing in it was understood, asked or denied."""
    return not (said.acts or said.withheld or said.is_question or said.is_negated)


def schema(actions: Iterable[Action] = tuple(ACTIONS.values())) -> dict[str, Any]:
    """The JSON schema of an answer: intents, each one of `actions` with its own arguments; none is an answer too."""
    return {
        "type": "object",
        "properties": {
            "intents": {"type": "array", "maxItems": MOST, "items": {"anyOf": [_intent_schema(row) for row in actions]}}
        },
        "required": ["intents"],
        "additionalProperties": False,
    }


def instructions(actions: Iterable[Action] = tuple(ACTIONS.values())) -> str:
    """What a model is told before the sentence."""
    return (
        "You turn an order, in Spanish or English, into actions of this list. Answer with JSON only. Use only names "
        "and numbers that the order says. `risk` is how much harm it could do: LOW, MED or HIGH. `condition` is what "
        f"must have been found first: {', '.join(CHECKABLE)}, else null. Answer with no intents if none is asked for.\n"
        + "\n".join(f"- {row.name}: {row.title}" for row in actions)
    )


def read_guess(answer: str, text: str, said: Reading, *, now: datetime, services: Sequence[str]) -> Guess:
    """What `said` becomes with a model's `answer` about `text`; the same, with a warning, where that is of no use."""
    if not may_be_guessed(said):
        return Guess(said)
    try:
        found = json.loads(answer)["intents"]
        read = [_intent(item, text) for item in found[:MOST]]
    except (ValueError, TypeError, KeyError, AttributeError):
        return _of_no_use(said, "the model's answer was not in the agreed form")
    dropped = [warning for warning in read if isinstance(warning, str)]
    taken = [both for both in read if not isinstance(both, str)]
    if not taken:
        return _of_no_use(said, *dropped)
    moments, unplaced = _times(with_spans(tokens_of(text, services), now))
    if unplaced or len(moments) > 1 or (moments and len(taken) > 1):
        told = ", ".join(map(repr, unplaced)) or "one moment for several acts, or several moments"
        return _of_no_use(said, *dropped, f"it says when, and a guess cannot tell what that means: {told}")
    moment = next((moment.astimezone(UTC) for moment in moments), None)
    intents = tuple(replace(intent, not_before=moment) for intent, _ in taken)
    guessed = replace(said, intents=intents, warnings=(*said.warnings, *dropped))
    return Guess(guessed, tuple(opinion for _, opinion in taken))


def _of_no_use(said: Reading, *why: str) -> Guess:
    return Guess(replace(said, warnings=(*said.warnings, *why)))


def _times(tokens: Sequence[Token]) -> tuple[set[datetime], list[str]]:
    """The moments that a text says, and its words of time that are part of none."""
    moments = {token.moment for token in tokens if token.moment}
    before = ["", *(token.word for token in tokens)]
    unplaced = [
        token.text
        for token, last in zip(tokens, before, strict=False)
        if (token.kind is Kind.WORD and token.word in _TIMES and last not in _GREETING)
        or (token.kind is Kind.NAME and _DATE.fullmatch(token.word))
    ]
    return moments, unplaced


def _intent(item: Mapping[str, Any], text: str) -> tuple[Intent, Opinion] | str:
    """An intent of the answer with the model's opinion of it, or why it is none."""
    action = ACTIONS.get(item["action"])
    if action is None:
        return f"the model named an action that is not registered: {item['action']!r}"
    try:
        told = action.arguments.model_validate(item.get("arguments") or {})
    except ValidationError as error:
        fields = ", ".join(str(fault["loc"][0]) if fault["loc"] else "all" for fault in error.errors())
        return f"the model's arguments for {action.name} do not fit: {fields}"
    arguments = told.model_dump(mode="json", exclude_unset=True)
    unsaid = sorted(word for word in _words(arguments) if not _is_said(word, text))
    condition = item.get("condition")
    intent = Intent(
        domain=action.domain,
        action=action.name,
        parameters=arguments,
        confidence=CONFIDENCE,
        original_text=text,
        warnings=("guessed by a model", *(f"nobody said {word!r}" for word in unsaid)),
        condition=condition if condition in CHECKABLE else None,
        risk=worst(action.risk, _floor(action, text), Risk.MED if unsaid else Risk.LOW),
    )
    return intent, _opinion(item.get("risk"))


def _opinion(risk: Any) -> Opinion:
    """The model's own estimate; one that is no risk of ours is none, and counts as such (`madre/risk/`)."""
    known = Risk(risk) if risk in tuple(Risk) else None
    return Opinion(known, f"it guessed at this order, and holds it for {known or 'no risk that is known'}")


def _floor(action: Action, text: str) -> Risk:
    if destructive_words(text):
        return Risk.HIGH
    return Risk.MED if action.changes else Risk.LOW


def _words(value: Any) -> Iterable[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _words(one)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)


def _is_said(word: str, text: str) -> bool:
    """Whether the text says a value; a number may be said in another unit, so it counts as said where any is."""
    if word.replace(".", "").isdigit():
        return any(letter.isdigit() for letter in text)
    return plain(word) in plain(text)


def _intent_schema(action: Action) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "action": {"const": action.name},
            "arguments": _pruned(action.arguments.model_json_schema()),
            "risk": {"enum": [risk.value for risk in Risk]},
            "condition": {"enum": [*CHECKABLE, None]},
        },
        "required": ["action", "arguments", "risk"],
        "additionalProperties": False,
    }


def _pruned(schema: Any) -> Any:
    """A schema with what decides its form and nothing else, so that the grammar made of it stays small."""
    kept = {key: value for key, value in schema.items() if key in _KEPT}
    if "properties" in kept:
        kept["properties"] = {name: _pruned(value) for name, value in kept["properties"].items()}
    if kept.get("type") == "object":
        kept["additionalProperties"] = False
    if "items" in kept:
        kept["items"] = _pruned(kept["items"])
    if "anyOf" in kept:
        kept["anyOf"] = [_pruned(one) for one in kept["anyOf"]]
    if kept.get("type") == "string" and "enum" not in kept:
        kept["maxLength"] = LONGEST_VALUE
    return kept
