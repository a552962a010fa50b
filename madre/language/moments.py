"""Which moment holds for which clause: "tomorrow open switch and load gemma" is about tomorrow, all of it.

A moment holds for its own clause and for what is said after it, until another one or a "now". One that stands behind
its clause ("open switch and load gemma tomorrow") may be meant for what is before it as well: it is taken for that too,
said, and a change it is taken for waits for a person. It is the last act's alone where that takes back what was done
before, or speaks of "it" ("open switch and close it in ten minutes").
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby

from config.contracts.plans import worst
from madre.actions import ACTIONS, Risk
from madre.language.clauses import Clause
from madre.language.intent import Intent
from madre.language.numerals import words
from madre.language.times import at_one_time
from madre.language.words import Token

Understood = tuple[Clause, Intent]
_NOW = words("ahora now ahorita ahora_mismo right_now inmediatamente immediately en_seguida cuanto_antes")
_NOW |= words("as_soon_as_possible asap")
_IT = words("it them lo")


@dataclass(slots=True)
class _Part:
    """A clause with its intents, and the moment that holds for it. `hour`: said, not only the day."""

    clause: Clause
    intents: list[Intent]
    own: Token | None
    moment: Token | None = None
    reached: str | None = None  # the words of a moment that stands behind a later clause

    @property
    def leads(self) -> bool:
        """Whether its own moment stands before its verb."""
        verb = next((token.start for token in self.clause.tokens if token.is_verb), self.clause.tokens[-1].end)
        return self.own is not None and self.own.start < verb

    @property
    def is_now(self) -> bool:
        """Whether it is to be done at once, in so many words."""
        return self.own is None and any(token.word in _NOW for token in self.clause.tokens)

    def told(self) -> list[Understood]:
        """The clause with each of its intents, at its moment."""
        return [(self.clause, self._timed(intent)) for intent in self.intents]

    def _timed(self, intent: Intent) -> Intent:
        if intent.action is None or self.moment is None or self.moment.moment is None:
            return intent
        timed = replace(intent, not_before=self.moment.moment.astimezone(UTC))
        if self.reached is None:
            return timed
        told = f"{self.reached!r} is taken for this too; say 'now' of what is not to wait"
        least = Risk.MED if ACTIONS[intent.action].changes else Risk.LOW
        return replace(timed, risk=worst(timed.risk, least), warnings=(*timed.warnings, told))


def at_their_moments(understood: Iterable[Understood]) -> list[Understood]:
    """The intents, each at the moment that holds for it."""
    parts: list[_Part] = []
    carrier: _Part | None = None  # whose moment holds for what follows
    for _, group in groupby(understood, key=lambda one: id(one[0])):
        pairs = list(group)
        part = _Part(pairs[0][0], [intent for _, intent in pairs], _own(pairs[0][0]))
        if carrier and carrier.clause.sentence != part.clause.sentence and not carrier.clause.may_act:
            carrier = None
        _place(part, carrier, parts)
        parts.append(part)
        if part.is_now:
            carrier = None
        elif part.own is not None and (part.leads or not part.clause.is_negated):
            carrier = part
    return [one for part in parts for one in part.told()]


def _own(clause: Clause) -> Token | None:
    """The moment that a clause says; its day and its hour are one by now (`at_one_time`)."""
    said = [token for token in clause.tokens if token.moment is not None]
    return replace(said[0], grain="") if len({token.grain for token in said}) > 1 else next(iter(said), None)


def _place(part: _Part, carrier: _Part | None, before: list[_Part]) -> None:
    """Give a part its moment, and those before it that it reaches back to."""
    led = carrier.moment if carrier else None
    if part.own is None:
        part.moment = None if part.is_now else led
        return
    part.moment, why = _on_the_day_of(led, part.own)
    if why is not None:
        for one in (part, *(one for one in before if one.clause.sentence == part.clause.sentence)):
            one.clause = replace(one.clause, doubt=one.clause.doubt or why)
    if not part.clause.is_negated:
        _reach_back(part, led, before)


def _on_the_day_of(led: Token | None, own: Token) -> tuple[Token, str | None]:
    """A moment as said after another one: an hour alone is on the day that was said; why not, where that is over."""
    if led is None or led.moment is None or own.moment is None or own.grain != "clock" or led.grain == "clock":
        return own, None
    if led.grain == "day":
        (_, on_it), why = at_one_time([led, own])
        return replace(on_it, grain=""), why
    at = datetime.combine(led.moment.date(), own.moment.time(), tzinfo=led.moment.tzinfo)
    return replace(own, moment=at if at >= led.moment else at + timedelta(days=1), grain=""), None


def _reach_back(part: _Part, led: Token | None, before: list[_Part]) -> None:
    """Have the parts before take on the moment behind this one; of a day without an hour, the hour that comes now."""
    for earlier in reversed(before):
        if earlier.clause.sentence != part.clause.sentence or earlier.is_now:
            return
        if earlier.clause.is_negated:
            continue
        if led is not None and earlier.moment is led and _is_the_hour(part, led):
            if not part.leads or _is_later(led, part.moment):
                earlier.moment = part.moment
        elif earlier.moment is None and part.own is not None and not part.leads and not _is_apart(earlier, part):
            earlier.moment, earlier.reached = part.moment, part.own.text
        else:
            return


def _is_the_hour(part: _Part, led: Token) -> bool:
    """Whether a part says the hour of a day that was said before it."""
    return led.grain == "day" and part.own is not None and part.own.grain == "clock"


def _is_later(one: Token, other: Token | None) -> bool:
    return bool(one.moment and other and other.moment and one.moment > other.moment)


def _is_apart(earlier: _Part, part: _Part) -> bool:
    """Whether a part speaks of what an earlier one did: that must have been done by then."""
    if any(token.it or token.word in _IT for token in part.clause.tokens):
        return True
    return any(_is_undone(one, other) for one in earlier.intents for other in part.intents)


def _is_undone(one: Intent, other: Intent) -> bool:
    if one.action is None or other.action is None or (one.target and other.target and one.target != other.target):
        return False
    return ACTIONS[one.action].undo == other.action or ACTIONS[other.action].undo == one.action
