"""A text to a `Reading`: the typed form if it is one, the grammar otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from config.contracts.plans import worst
from madre.actions import ACTIONS, Domain, Heard, Risk
from madre.language import marks, typed
from madre.language.clauses import Clause, clauses_of
from madre.language.grammar import Match, best
from madre.language.intent import Intent, Reading
from madre.language.moments import at_their_moments
from madre.language.retraction import without_taken_back
from madre.language.times import with_spans
from madre.language.turns import due, in_turn
from madre.language.words import Kind, Token, tokens_of

LONGEST = 16_384  # characters; what is longer is not read as an order
_NO_THINGS = frozenset([Heard.DURATION, Heard.UNTIL, Heard.FLAG, Heard.CHOICE, Heard.COUNT, Heard.MEMORY])
_ALIKE = {Heard.SERVICE: Heard.SERVICES, Heard.SERVICES: Heard.SERVICE, Heard.FILE: Heard.FILES}  # all are lists


def read(text: str, *, now: datetime, services: Sequence[str]) -> Reading:
    """What `text` asks for; `services` are the names that a sentence may say.

    Invalid for a text that begins as the typed form does and is none.
    """
    if typed.is_typed(text):
        return Reading(intents=typed.parse_all(text))
    if len(text) > LONGEST:
        return Reading(warnings=(f"longer than {LONGEST} characters: not read as an order",))
    tokens = with_spans(tokens_of(text, services), now)
    said = without_taken_back(_understood(clauses_of(tokens, text), services, text))
    understood = in_turn(at_their_moments(said, now), now)
    clauses = [clause for clause, _ in understood]
    return Reading(
        intents=_with_finders((intent for clause, intent in understood if clause.may_act), now),
        is_question=any(clause.is_question for clause in clauses),
        is_negated=any(clause.is_negated for clause in clauses),
        warnings=_warnings(clauses, tokens),
        withheld=tuple(intent for clause, intent in understood if not clause.may_act),
    )


def destructive_words(text: str, services: Sequence[str] = ()) -> tuple[str, ...]:
    """The words of `text`, outside of quotations, that speak of losing something."""
    return _destructive(tokens_of(text, services))


def _understood(clauses: Sequence[Clause], services: Sequence[str], text: str) -> Iterator[tuple[Clause, Intent]]:
    it: dict[Heard, Any] = {}
    for clause in clauses:
        match = best(clause, services, it)
        said = text[min(token.start for token in clause.tokens) : max(token.end for token in clause.tokens)]
        if match is None:
            yield clause, _unknown(clause, said)
            continue
        it |= _pointed_at(match.heard)
        intent = _intent(match, clause, said)
        yield clause, intent
        if match.several:
            name, others = match.several
            for other in others:
                yield clause, replace(intent, target=str(other), parameters={**intent.parameters, name: other})


def _intent(match: Match, clause: Clause, said: str) -> Intent:
    action = match.action
    left = tuple(f"not understood: {token.text!r}" for token in match.left)
    missing = tuple(f"not said: {name}" for name in match.missing)
    doubts = [Risk.MED] if left and action.changes else []
    return Intent(
        domain=action.domain,
        action=action.name,
        target=_target(match.arguments),
        parameters=match.arguments,
        confidence=match.confidence,
        original_text=said,
        warnings=left + missing,
        condition=clause.condition,
        not_before=next((token.moment.astimezone(UTC) for token in clause.tokens if token.moment), None),
        risk=worst(action.risk, _floor(clause.tokens, action.name), *doubts),
    )


def _unknown(clause: Clause, said: str) -> Intent:
    return Intent(
        domain=Domain.TASK,
        action=None,
        confidence=0.0,
        original_text=said,
        warnings=("no action of the registry was recognised",),
        condition=clause.condition,
        risk=worst(Risk.MED, _floor(clause.tokens, None)),
    )


def _floor(tokens: Sequence[Token], action: str | None) -> Risk:
    """The least risk that words allow: HIGH where something may get lost, MED if the action can only look."""
    if not _destructive(tokens):
        return Risk.LOW
    return Risk.HIGH if action is None or ACTIONS[action].changes else Risk.MED


def _destructive(tokens: Sequence[Token]) -> tuple[str, ...]:
    return tuple(token.text for token in tokens if token.kind is Kind.WORD and _loses(token))


def _loses(token: Token) -> bool:
    """Whether a word speaks of losing something, in whatever form, or may be a mistyping of one that does."""
    begins = token.word.startswith(marks.DESTRUCTIVE) and token.word not in marks.HARMLESS
    return begins or not marks.LOSING.isdisjoint(token.concepts)


def _target(arguments: Mapping[str, Any]) -> str | None:
    for name in ("model", "source", "services", "service", "task_id", "plan_id", "path", "paths", "url", "policy"):
        if arguments.get(name):
            value = arguments[name]
            return ",".join(value) if isinstance(value, list) else str(value)
    return None


def _pointed_at(heard: Mapping[Heard, Any]) -> dict[Heard, Any]:
    """What "it" is from now on: a service may be meant where several can be said, and the other way round."""
    found = {how: value for how, value in heard.items() if how not in _NO_THINGS}
    return found | {_ALIKE[how]: value for how, value in found.items() if how in _ALIKE}


def _with_finders(intents: Iterable[Intent], now: datetime) -> tuple[Intent, ...]:
    """Intents on a condition, after a step that can find it out at their own moment: where none was asked for, one is
    added and says so."""
    ordered: list[Intent] = []
    for intent in intents:
        if intent.condition and not any(
            due(before, now) == due(intent, now) and _finds(before, intent.condition) for before in ordered
        ):
            finder = _FINDERS[intent.condition]
            ordered.append(
                Intent(
                    domain=ACTIONS[finder].domain,
                    action=finder,
                    original_text=intent.original_text,
                    warnings=(f"added, because what follows depends on {intent.condition}",),
                    not_before=intent.not_before,
                    risk=ACTIONS[finder].risk,
                )
            )
        ordered.append(intent)
    return tuple(ordered)


def _finds(intent: Intent, condition: str) -> bool:
    return intent.action is not None and condition in ACTIONS[intent.action].finds


_FINDERS = {"drift": "scan.drift", "incidents": "scan.run", "problems": "system.health"}


def _warnings(clauses: Sequence[Clause], tokens: Sequence[Token]) -> tuple[str, ...]:
    doubts = dict.fromkeys(f"nothing is done: {clause.doubt}" for clause in clauses if clause.doubt)
    mended = (f"{token.text!r} was read as {token.word!r}" for token in tokens if token.mended)
    return (*doubts, *mended)
