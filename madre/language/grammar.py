"""Which action a clause asks for: the phrases of the registry, tried on it.

A phrase fits a clause whose first word with a meaning is the phrase's verb (a statement *about* opening asks for
nothing), which has all its other concepts, and says its arguments. Of those that fit, the one that leaves the fewest
words unexplained is meant; if it leaves too many, none is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from madre.actions import ACTIONS, Action, Arguments, Heard
from madre.language import marks
from madre.language.clauses import Clause
from madre.language.hearing import ONE_EACH, Hearable, hear, listened
from madre.language.lexicon import VERBS
from madre.language.words import Kind, Token

ENOUGH, ENOUGH_OF_A_NOUN = 0.5, 0.75  # the share of a clause that must be explained
ENOUGH_FOR_GOOD = 0.75  # where it cannot be taken back
_MISTYPED = 0.95  # of the confidence is left for each word that had to be mended
_NEAR = 6  # meaning words from the beginning on, among which the one stands that says what is asked for
_LIGHT = frozenset(["run", "prepare"])  # verbs that may lend themselves to another: "run a scan"


@dataclass(frozen=True, slots=True)
class Phrase:
    """One way of asking for an action: its first concept, all of them, and the arguments that must be said."""

    action: Action
    head: str
    concepts: frozenset[str]
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """An action with what was said of its arguments; `left` are the words that nothing explains.

    `several` holds the other things where one argument names more than one, `missing` the required ones not said.
    """

    action: Action
    arguments: dict[str, Any]
    confidence: float
    specific: int
    left: tuple[Token, ...]
    missing: tuple[str, ...]
    heard: dict[Heard, Any] = field(default_factory=dict)
    several: tuple[str, tuple[Any, ...]] | None = None


@cache
def phrases() -> Mapping[str, tuple[Phrase, ...]]:
    """All phrases of the registry, by the concept they begin with."""
    table: dict[str, list[Phrase]] = {}
    for action in ACTIONS.values():
        for said in action.says:
            words = said.split()
            concepts = [word for word in words if not word.startswith("{")]
            slots = tuple(word.strip("{}") for word in words if word.startswith("{"))
            table.setdefault(concepts[0], []).append(Phrase(action, concepts[0], frozenset(concepts), slots))
    return {head: tuple(found) for head, found in table.items()}


def best(clause: Clause, services: Sequence[str], it: Mapping[Heard, Any]) -> Match | None:
    """The action that a clause asks for, or asks about; `it` is what a pronoun may stand for."""
    tokens = clause.tokens
    content = frozenset(i for i, token in enumerate(tokens) if _counts(token))
    matches = [
        match
        for phrase, heads in _candidates(clause, content)
        if (match := _fit(phrase, heads, tokens, content, services, it)) is not None
    ]
    return max(matches, key=lambda match: (match.confidence, match.specific, -len(match.missing)), default=None)


def _candidates(clause: Clause, content: frozenset[int]) -> Iterable[tuple[Phrase, frozenset[int]]]:
    """Phrases that may fit, with the places that their verb is said at."""
    tokens = clause.tokens
    ordered = sorted(i for i in content if tokens[i].kind is not Kind.SPAN)
    if not ordered:
        return
    first = tokens[ordered[0]]
    led = {ordered[0]: first.concepts}
    if clause.is_question and not first.is_verb:  # "which models are there?" is about showing them
        yield from ((phrase, frozenset()) for phrase in phrases()["show"])
    light = bool(first.concepts & _LIGHT) or _is_light(tokens, ordered[0])
    if light:
        led |= {i: tokens[i].concepts for i in ordered[1:_NEAR] if tokens[i].is_verb}
    for i, concepts in led.items():
        places = frozenset([i, ordered[0]] if light else [i])
        for concept in concepts & VERBS.keys():
            yield from ((phrase, places) for phrase in phrases().get(concept, ()))
    if not first.is_verb or first.kind is Kind.SERVICE or light:
        for i in ordered[:_NEAR]:
            for concept in tokens[i].concepts - VERBS.keys():
                yield from ((phrase, frozenset([i])) for phrase in phrases().get(concept, ()))


def _is_light(tokens: Sequence[Token], first: int) -> bool:
    return any(token.word in ("haz", "haga", "hagas", "do", "perform", "realiza") for token in tokens[:first])


def _counts(token: Token) -> bool:
    """Whether a token has a meaning that must be explained."""
    if token.kind is Kind.MARK:
        return False
    return bool(token.concepts) or token.word not in marks.ALL or token.kind is Kind.SERVICE


def _fit(
    phrase: Phrase,
    heads: frozenset[int],
    tokens: Sequence[Token],
    content: frozenset[int],
    services: Sequence[str],
    it: Mapping[Heard, Any],
) -> Match | None:
    explained = set(heads)
    for concept in phrase.concepts - {phrase.head}:
        places = [i for i in content if concept in tokens[i].concepts]
        if not places:
            return None
        explained.update(places)
    explained.update(i for i in content if tokens[i].moment is not None)
    arguments: dict[str, Any] = {}
    heard: dict[Heard, Any] = {}
    several: tuple[str, tuple[Any, ...]] | None = None
    for argument in listened(phrase.action.arguments):
        around = Hearable(tokens, frozenset(range(len(tokens))) - explained, services, it)
        found = hear(argument, around)
        if found is None:
            if argument.name in phrase.said:
                return None
            continue
        value, places_of_it = found
        explained |= places_of_it
        heard[argument.how] = value
        if argument.how in ONE_EACH and isinstance(value, list):
            value, others = value[0], tuple(value[1:])
            several = (argument.name, others) if others else several
        arguments[argument.name] = value
    return _weighed(phrase, tokens, content, explained, arguments, heard, several)


def _weighed(
    phrase: Phrase,
    tokens: Sequence[Token],
    content: frozenset[int],
    explained: set[int],
    arguments: dict[str, Any],
    heard: dict[Heard, Any],
    several: tuple[str, tuple[Any, ...]] | None,
) -> Match | None:
    left = tuple(tokens[i] for i in sorted(content - explained))
    optional = sum(1 for token in left if _may_be_left(token, phrase.action))
    if any(_forbids(token, phrase.action) for token in left):
        return None
    share = 1 - (len(left) - optional) / max(1, len(content) - optional)
    if share < _enough(phrase):
        return None
    wrong = sum(1 for i in content if tokens[i].mended)
    missing = _missing(phrase.action.arguments, arguments)
    return Match(
        action=phrase.action,
        arguments=arguments,
        confidence=round(share * _MISTYPED**wrong * 0.8 ** len(missing), 3),
        specific=len(phrase.concepts) + len(phrase.said),
        left=tuple(token for token in left if not _may_be_left(token, phrase.action)),
        missing=missing,
        heard=heard,
        several=several,
    )


def _missing(wanted: type[Arguments], said: Mapping[str, Any]) -> tuple[str, ...]:
    """The arguments that must be said and were not."""
    required = [argument.name for argument in listened(wanted) if argument.is_required and argument.name not in said]
    if wanted.one_of and said.keys().isdisjoint(wanted.one_of):
        required.append(" or ".join(wanted.one_of))
    return tuple(required)


def _enough(phrase: Phrase) -> float:
    if phrase.head not in VERBS:
        return ENOUGH_OF_A_NOUN
    return ENOUGH if phrase.action.reversible or not phrase.action.changes else ENOUGH_FOR_GOOD


def _forbids(token: Token, action: Action) -> bool:
    """Whether a phrase that leaves this out cannot be meant: a quotation; where something would be changed, "all" and
    another verb."""
    if token.kind in (Kind.QUOTE, Kind.CODE):
        return True
    is_order = token.is_verb and token.kind is Kind.WORD and token.word not in marks.ALL  # `para` is "for" and "stop"
    return action.changes and ("all" in token.concepts or is_order)


def _may_be_left(token: Token, action: Action) -> bool:
    """Whether it does not matter that a word is not explained: looking at *all* models is looking at the models."""
    if token.kind is Kind.SERVICE:
        return token.word == action.owner  # "have switch go to eco mode"
    return token.word in marks.ALL or ("all" in token.concepts and not action.changes)
