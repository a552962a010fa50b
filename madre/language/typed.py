"""The typed form of an intent, as scripts and people in a hurry write it, and back.

    VX11::POWER action="power.open_window" services="switch,hermes" ttl_sec="600"

The action may be written without its first part where that is clear in its domain (`action="open_window"`).
`condition`, `not_before` and `target` are the intent's own; every other key is an argument. A value is what it says,
read by the type of the argument: a list is separated by commas (or JSON), numbers and true/false are as in JSON. Inside
the quotes `\"` is a quote, `\\` a backslash, `\n` a line's end. One line holds one intent.
"""

from __future__ import annotations

import json
import re
import typing
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from config.clock import rfc3339
from config.errors import Invalid
from madre.actions import ACTIONS, Action, Domain, Risk, action_named
from madre.language.intent import Intent

PREFIX = "VX11::"
_HEAD = re.compile(r"\s*VX11::(\w+)", re.IGNORECASE)
_PAIR = re.compile(r'\s+([A-Za-z_][\w.]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))', re.DOTALL)
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_UNESCAPES = {escaped[1]: plain for plain, escaped in _ESCAPES.items()}
_OWN = ("action", "target", "condition", "not_before")
_MOMENT = TypeAdapter(datetime)


def is_typed(text: str) -> bool:
    """Whether a text means to be the typed form."""
    return _HEAD.match(text) is not None


def parse_all(text: str) -> tuple[Intent, ...]:
    """The intents of a text of one or more lines; Invalid for a line that is none."""
    return tuple(parse_typed(line) for line in text.split("\n") if line.strip())


def parse_typed(text: str) -> Intent:
    """The intent that `text` writes down; Invalid, saying where, if it is not well formed. An action that is not
    registered stays unknown, which is at least MED."""
    domain, at = _domain(text)
    pairs: dict[str, str] = {}
    while match := _PAIR.match(text, at):
        key = match[1]
        if key in pairs:
            raise _malformed(text, match.start(1), f"{key} is given twice")
        pairs[key] = match[3] if match[2] is None else _unescaped(match[2])
        at = match.end()
    if text[at:].strip():
        raise _malformed(text, at, 'expected key="value"')
    return _intent(text.strip(), domain, pairs)


def print_typed(intent: Intent) -> str:
    """The typed form of an intent, always written the same way: `parse_typed` gives the same intent back."""
    own = {
        "action": intent.action,
        "target": intent.target,
        "condition": intent.condition,
        "not_before": rfc3339(intent.not_before) if intent.not_before else None,
    }
    pairs = {key: value for key, value in own.items() if value is not None}
    pairs |= {key: _written(intent.parameters[key]) for key in sorted(intent.parameters)}
    return " ".join([PREFIX + intent.domain.value, *(f'{key}="{_escaped(value)}"' for key, value in pairs.items())])


def _domain(text: str) -> tuple[Domain, int]:
    match = _HEAD.match(text)
    if match is None:
        raise _malformed(text, 0, f"expected {PREFIX}DOMAIN")
    try:
        return Domain(match[1].upper()), match.end()
    except ValueError:
        raise _malformed(text, match.start(1), f"the domains are {', '.join(Domain)}") from None


def _intent(text: str, domain: Domain, pairs: dict[str, str]) -> Intent:
    action = _action(domain, pairs.get("action"))
    parameters = {key: _read(action, key, value) for key, value in pairs.items() if key not in _OWN}
    return Intent(
        domain=action.domain if action else domain,
        action=action.name if action else None,
        target=pairs.get("target"),
        parameters=parameters,
        original_text=text,
        warnings=() if action else (f"there is no action {pairs.get('action')!r} in {domain}",),
        condition=pairs.get("condition"),
        not_before=_moment(text, pairs.get("not_before")),
        risk=action.risk if action else Risk.MED,
    )


def _action(domain: Domain, name: str | None) -> Action | None:
    """The action by its full name, or by its last part where only one of the domain has it."""
    if name is None:
        return None
    if name in ACTIONS:
        return action_named(name)
    short = [row for row in ACTIONS.values() if row.domain is domain and row.name.rpartition(".")[2] == name]
    return short[0] if len(short) == 1 else None


def _moment(text: str, value: str | None) -> datetime | None:
    try:
        moment = None if value is None else _MOMENT.validate_python(value)
    except ValidationError:
        raise _malformed(text, text.find("not_before"), "not_before is a time as in 2026-01-31T08:00:00Z") from None
    if moment is not None and moment.tzinfo is None:
        raise _malformed(text, text.find("not_before"), "not_before needs its zone, as in 2026-01-31T08:00:00Z")
    return moment


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and value and all(isinstance(one, str) and _is_plain(one) for one in value):
        return ",".join(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _is_plain(word: str) -> bool:
    return bool(word) and not any(letter in word for letter in ',[]{}"') and word == word.strip()


def _read(action: Action | None, key: str, value: str) -> Any:
    """A value as the argument's type has it; what cannot be read stays text, and is refused when a plan is drawn up."""
    field = action.arguments.model_fields.get(key) if action else None
    kinds = _kinds(field.annotation) if field else {str}
    if str in kinds:
        return value
    if tuple in kinds or list in kinds:
        return json.loads(value) if _is_json(value, list) else [one.strip() for one in value.split(",") if one.strip()]
    return json.loads(value) if _is_json(value, bool, int, float, dict) else value


def _kinds(annotation: Any) -> set[Any]:
    """The plain types of an annotation; a literal's is that of its values."""
    origin = typing.get_origin(annotation)
    if origin is None:
        return {annotation}
    if origin is typing.Literal:
        return {type(value) for value in typing.get_args(annotation)}
    if origin is typing.Annotated:
        return _kinds(typing.get_args(annotation)[0])
    if origin in (tuple, list, dict):
        return {origin}
    return set().union(*(_kinds(one) for one in typing.get_args(annotation)))


def _is_json(value: str, *kinds: type) -> bool:
    try:
        return isinstance(json.loads(value), kinds)
    except ValueError:
        return False


def _escaped(value: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in value)


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda match: _UNESCAPES.get(match[1], match[1]), value, flags=re.DOTALL)


def _malformed(text: str, at: int, why: str) -> Invalid:
    return Invalid(
        f"This is not the typed form: {why}, at character {at + 1}.",
        hint='Write VX11::POWER action="power.open_window" services="switch".',
        errors=[{"field": "text", "message": f"{why}, at {text[at : at + 20]!r}"}],
    )
