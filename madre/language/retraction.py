"""Orders that are taken back: "open switch. Don't open it.", "open switch. No, wait."

A no that comes after an order takes back all orders before it, unless it surely speaks of something else: it denies
another act that is known to the last word ("open switch. Don't load gemma."), leaves a thing out ("…, not hermes"), or
says what is wrong ("restart hermes, it does not answer").
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from madre.language import marks
from madre.language.clauses import Clause
from madre.language.intent import Intent
from madre.language.words import Kind, Token

Understood = tuple[Clause, Intent]
Act = tuple[str | None, str | None]  # an action and its thing


def without_taken_back(understood: Iterable[Understood]) -> list[Understood]:
    """The clauses with their intents; those that a later one takes back are in doubt, and say so."""
    kept: list[Understood] = []
    ordered: dict[Act, list[int]] = {}  # what stands, by act and thing: where in `kept`
    for clause, intent in understood:
        if clause.denies and not clause.is_question and _takes_back(clause, intent, ordered):
            for i in (i for places in ordered.values() for i in places):
                kept[i] = (replace(kept[i][0], doubt=f"{intent.original_text!r} takes it back"), kept[i][1])
            ordered = {}
        if clause.may_act:
            ordered.setdefault((intent.action, intent.target), []).append(len(kept))
        kept.append((clause, intent))
    return kept


def _takes_back(clause: Clause, intent: Intent, ordered: Iterable[Act]) -> bool:
    """Whether a no is about what was asked for before it, as far as anybody can tell."""
    if intent.action is not None:
        return bool(intent.warnings) or any(_is_the_same((intent.action, intent.target), act) for act in ordered)
    said = [token for token in clause.tokens if _counts(token)]
    complains = any(token.word in marks.FAILING for token in clause.tokens)
    named = {name for act in ordered for name in _things(act)}
    return not complains and not (said and all(_leaves_out(token) and token.word not in named for token in said))


def _is_the_same(denied: Act, ordered: Act) -> bool:
    """Whether the same act was asked for; one on other things, all of them named, is another."""
    things, others = _things(denied), _things(ordered)
    return denied[0] == ordered[0] and not (things and others and things.isdisjoint(others))


def _things(act: Act) -> frozenset[str]:
    return frozenset(act[1].split(",")) if act[1] else frozenset()


def _counts(token: Token) -> bool:
    return token.kind is not Kind.MARK and (bool(token.concepts) or token.word not in marks.ALL - marks.OTHERS)


def _leaves_out(token: Token) -> bool:
    """Whether a token names what is not meant: a service, an identifier, a thing; not all."""
    if token.kind in (Kind.SERVICE, Kind.NAME) or token.word in marks.OTHERS:
        return True
    return bool(token.concepts) and not token.is_verb and "all" not in token.concepts
