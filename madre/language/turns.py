"""Whose turn it is: what is due first goes first, because a plan's steps wait for the ones before them.

Acts on one thing never change places, whatever their moments: where they would have to ("on friday open switch and now
close it"), nothing of their sentences is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from madre.actions import ACTIONS
from madre.language.clauses import Clause
from madre.language.intent import Intent

Understood = tuple[Clause, Intent]
_Touched = frozenset[tuple[str, str]]


def in_turn(told: Sequence[Understood], now: datetime) -> list[Understood]:
    """The intents in the order in which they are due, as they were said otherwise."""
    return sorted(in_doubt(told, _out_of_order(told, now)), key=lambda one: due(one[1], now))


def due(intent: Intent, now: datetime) -> datetime:
    """When an intent may be done: "today" is now."""
    return max(intent.not_before or now, now)


def in_doubt(told: Sequence[Understood], doubts: Mapping[int, str]) -> list[Understood]:
    """The clauses, those of a doubtful sentence all in doubt; `doubts` are by the number of the sentence."""
    return [
        (replace(clause, doubt=clause.doubt or doubts[clause.sentence]), intent)
        if clause.sentence in doubts
        else (clause, intent)
        for clause, intent in told
    ]


def things(intent: Intent) -> frozenset[str]:
    """What an intent is about, thing by thing."""
    return frozenset(intent.target.split(",")) if intent.target else frozenset()


def _out_of_order(told: Sequence[Understood], now: datetime) -> dict[int, str]:
    """Why sentences are in doubt: they say first, of one thing, what is due later."""
    doubts: dict[int, str] = {}
    latest: dict[tuple[str, str], Understood] = {}  # what is due last of all that touches a thing
    for clause, intent in told:
        if intent.action is None or not clause.may_act:
            continue
        touched, meets = _touched(intent)
        for one in meets & latest.keys():
            earlier, first = latest[one]
            if due(intent, now) < due(first, now):
                both = f"{intent.original_text!r} is due before {first.original_text!r}"
                why = f"{both}, which was said first: say first what is to be done first"
                doubts |= {clause.sentence: why, earlier.sentence: why}
        for one in touched:
            if one not in latest or due(intent, now) >= due(latest[one][1], now):
                latest[one] = (clause, intent)
    return doubts


def _touched(intent: Intent) -> tuple[_Touched, _Touched]:
    """What an intent touches, and what it cannot change places with: the acts on its things; a change that names none
    may be of anything of its kind."""
    named = frozenset(("thing", name) for name in things(intent))
    written = ACTIONS[intent.action or ""].writes
    some, every = (frozenset((what, kind) for kind in written) for what in ("some", "every"))
    return (named | some, named | every) if named else (some | every, some)
