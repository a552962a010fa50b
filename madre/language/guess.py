"""What a model makes of a sentence that the grammar does not know: the form it is forced into, and the reading of it.

The form is a JSON schema of the registered actions, so a model can name nothing else. It is a guess all the same: it
is not asked for questions and negations, what it would change is at least MED, what it names that nobody said is MED
too, and the risk it gives can only raise that of the action and of the words.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from config.contracts.plans import worst
from madre.actions import ACTIONS, Action, Risk
from madre.language.clauses import CHECKABLE
from madre.language.intent import Intent, Reading
from madre.language.reading import destructive_words
from madre.language.words import plain

MOST = 4  # intents of one answer
CONFIDENCE = 0.5
LONGEST_VALUE = 1000  # characters of one argument that a model may write
_KEPT = frozenset(["type", "enum", "const", "anyOf", "items", "properties", "required", "minItems", "maxItems"])


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


def read_guess(answer: str, text: str, said: Reading) -> Reading:
    """What `said` becomes with a model's `answer` about `text`; the same, with a warning, where that is of no use."""
    if not may_be_guessed(said):
        return said
    try:
        found = json.loads(answer)["intents"]
        read = [_intent(item, text) for item in found[:MOST]]
    except (ValueError, TypeError, KeyError, AttributeError):
        return replace(said, warnings=(*said.warnings, "the model's answer was not in the agreed form"))
    intents = tuple(intent for intent in read if isinstance(intent, Intent))
    dropped = tuple(warning for warning in read if isinstance(warning, str))
    return replace(said, intents=intents or said.intents, warnings=(*said.warnings, *dropped))


def _intent(item: Mapping[str, Any], text: str) -> Intent | str:
    """An intent of the answer, or why it is none."""
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
    return Intent(
        domain=action.domain,
        action=action.name,
        parameters=arguments,
        confidence=CONFIDENCE,
        original_text=text,
        warnings=("guessed by a model", *(f"nobody said {word!r}" for word in unsaid)),
        condition=condition if condition in CHECKABLE else None,
        risk=worst(action.risk, _opinion(item.get("risk")), _floor(action, text), Risk.MED if unsaid else Risk.LOW),
    )


def _opinion(risk: Any) -> Risk:
    """The model's own estimate; no or an unknown word counts as MED."""
    return Risk(risk) if risk in tuple(Risk) else Risk.MED


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
