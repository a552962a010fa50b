"""What a sentence leaves out or only points at, filled from what was spoken of just before. Pure.

"Open a window on switch", then "extend it by ten minutes": the second sentence names no service. Only what points at a
thing is ever filled in (a service, a model, a file, an identifier), never a duration, a text or a choice; only from the
newest act of the same domain, only for a short while (`config/context7.py`), and it is said in the intent's warnings.
"Close it" and "ciérrala" name nothing at all: there the pronoun is spelled out, and the sentence read once more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pydantic.fields import FieldInfo

from config import context7
from config.context7 import Conversation, Topic
from madre.actions import ACTIONS, Action, Heard
from madre.language import Intent

_POINTS_AT = frozenset(
    {Heard.SERVICE, Heard.SERVICES, Heard.NAME, Heard.SOURCE, Heard.URL, Heard.FILE, Heard.FILES, Heard.ID}
)
_ONE_OF = {Heard.SERVICES.value: Heard.SERVICE.value, Heard.FILES.value: Heard.FILE.value}
_PLAN = "plan_id"
_NOTHING: tuple[Any, ...] = (None, [], ())

# How a thing is called in a sentence that means it, by the kind of the argument it was.
_CALLED = {
    Heard.SERVICES.value: "window {}",
    Heard.SERVICE.value: "{}",
    Heard.NAME.value: "model {}",
    Heard.FILE.value: "{}",
    Heard.URL.value: "{}",
    "task_id": "task {}",
    "window_id": "window {}",
}
_PRONOUN = re.compile(r"\b(it|this|that|them|eso|esto)\b", re.IGNORECASE)
_ENCLITIC = re.compile(r"\b(\w{3,}[aeiouáéíóú])(?:lo|la|los|las)\b", re.IGNORECASE)  # ciérra-la, extiénde-lo


def spelled_out(text: str, conversation: Conversation | None, now: datetime) -> str | None:
    """The sentence with its pronoun replaced by what was spoken of last; None without a pronoun or such a thing."""
    topic = next(iter(conversation.topics), None) if conversation else None
    if topic is None or now - topic.at > context7.INHERITED_FOR:
        return None
    key = next((key for key in _CALLED if key in topic.arguments), None)
    if key is None:
        return None
    thing = _CALLED[key].format(_said(topic.arguments[key]))
    for pattern, replacement in ((_PRONOUN, thing), (_ENCLITIC, rf"\1 {thing}")):
        spelled, count = pattern.subn(replacement, text)
        if count == 1:
            return spelled
    return None


def spoken_of(intents: Sequence[Intent], now: datetime) -> list[Topic]:
    """The topics that these intents make, in their order: what each one pointed at, if it did."""
    about = [
        Topic(intent.domain.value, action.name, _things(action, intent.parameters), now)
        for intent in intents
        if (action := ACTIONS.get(intent.action or ""))
    ]
    return [topic for topic in about if topic.arguments]


def completed(intent: Intent, conversation: Conversation | None, now: datetime) -> Intent:
    """The intent with what it leaves out and the conversation knows; the same one where that is nothing.

    Where the sentence pointed at something itself, only what the action cannot do without is filled in.
    """
    action = ACTIONS.get(intent.action or "")
    if conversation is None or action is None:
        return intent
    fields, needed = action.arguments.model_fields, _pointing(action)
    lacking = {name: key for name, key in needed.items() if intent.parameters.get(name) in _NOTHING}
    says_something = len(lacking) < len(needed)
    known = _known(conversation, intent.domain.value, now)
    taken = {}
    for name, key in lacking.items():
        required = fields[name].is_required()
        value = _fitting(key, known) if required else known.get(key)
        if value is not None and (required or not says_something):
            taken[name] = value
    return _with(intent, taken) if taken else intent


def _with(intent: Intent, taken: Mapping[str, Any]) -> Intent:
    told = (f"{name} is {_said(value)}, as spoken of before" for name, value in taken.items())
    answered = {f"not said: {name}" for name in taken}
    return replace(
        intent,
        parameters={**intent.parameters, **taken},
        target=intent.target or _said(next(iter(taken.values()))),
        warnings=(*(one for one in intent.warnings if one not in answered), *told),
    )


def _known(conversation: Conversation, topic: str, now: datetime) -> dict[str, Any]:
    """What was pointed at a short while ago, by kind, and the last plan."""
    kinds = {key for action in ACTIONS.values() for key in _pointing(action).values()}
    found = context7.inherited(conversation, topic, {}, kinds, now)
    last = _last_plan(conversation, now)
    return found | {_PLAN: last} if last else found


def _last_plan(conversation: Conversation, now: datetime) -> str | None:
    """The plan that was spoken of last, if that was a short while ago."""
    last = next((turn for turn in reversed(conversation.turns) if turn.plan_id), None)
    return last.plan_id if last and now - last.at <= context7.INHERITED_FOR else None


def _fitting(key: str, found: Mapping[str, Any]) -> Any:
    """What was found under `key`; for one thing the only one of a list, for a list the one thing there is."""
    if key in found:
        return found[key]
    for many, one in _ONE_OF.items():
        if key == one and len(found.get(many, ())) == 1:
            return found[many][0]
        if key == many and one in found:
            return [found[one]]
    return None


def _things(action: Action, parameters: Mapping[str, Any]) -> dict[str, Any]:
    things = {key: parameters.get(name) for name, key in _pointing(action).items()}
    return {key: value for key, value in things.items() if value not in _NOTHING}


def _pointing(action: Action) -> dict[str, str]:
    """The arguments of `action` that point at something, by name, each with the kind of thing it points at.

    Identifiers are of one kind each: a window's is no task's, so theirs is the argument's own name.
    """
    kinds = {name: _heard(field) for name, field in action.arguments.model_fields.items()}
    return {
        name: name if kind is Heard.ID else kind.value
        for name, kind in kinds.items()
        if kind is not None and kind in _POINTS_AT
    }


def _heard(field: FieldInfo) -> Heard | None:
    return next((mark for mark in field.metadata if isinstance(mark, Heard)), None)


def _said(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
