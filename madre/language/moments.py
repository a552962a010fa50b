"""Which moment holds for which clause: "tomorrow open switch and load gemma" is about tomorrow, all of it.

- A moment holds for its own clause and for what is said after it, until another one. Behind a moment, an hour alone is
  on that day, and "20 minutes later" or "in 20 minutes" is so long after that moment. A plain "now" is now; "at once"
  behind a moment is right after that. A "now" before its verb ends the moment, one behind it is of its clause alone.
- A moment behind its clause ("open switch and load gemma tomorrow") may be meant for what is before it as well: it is
  taken for all of that, said, and a change it is taken for waits for a person. It is the last act's alone where that
  speaks of "it" or does the opposite of one before ("open switch and close it in ten minutes").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby

from config.contracts.plans import worst
from madre.actions import ACTIONS, Risk
from madre.language.clauses import Clause
from madre.language.clocks import is_small_hour
from madre.language.intent import Intent
from madre.language.marks import RELATIVE
from madre.language.numerals import words
from madre.language.turns import Understood, in_doubt, things
from madre.language.words import Token

_NOW = words("ahora now ahorita ahora_mismo right_now")
_AT_ONCE = words("inmediatamente immediately en_seguida enseguida cuanto_antes as_soon_as_possible asap")
_OF_A_STATE = words(  # before a "now" that is no moment: `the model loaded now`, `until now`
    """
    running corriendo loaded cargado cargada cargados cargadas active activo activa activos activas awake despierto
    despierta abierto abierta abiertos abiertas encendido encendida just until till hasta by from desde since
    """
)
_IT = words("it them lo")
_UP = frozenset(["power.open_window", "power.hold_window", "service.start", "service.restart"])
_DOWN = frozenset(["power.close_window", "service.stop"])


@dataclass(slots=True)
class _Part:
    """A clause with its intents, and the moment that holds for it; `now` is the word that says it is not to wait."""

    clause: Clause
    intents: list[Intent]
    own: Token | None
    now: Token | None = None
    moment: Token | None = None
    reached: str | None = None  # the words of a moment that stands behind a later clause

    def leads(self, token: Token) -> bool:
        """Whether a token stands before the verb."""
        return token.start < next((one.start for one in self.clause.tokens if one.is_verb), self.clause.tokens[-1].end)

    def told(self) -> Iterator[Understood]:
        """The clause with each of its intents, at its moment."""
        return ((self.clause, self._timed(intent)) for intent in self.intents)

    def _timed(self, intent: Intent) -> Intent:
        if intent.action is None or self.moment is None or self.moment.moment is None:
            return intent
        timed = replace(intent, not_before=self.moment.moment.astimezone(UTC))
        if self.reached is None:
            return timed
        told = f"{self.reached!r} is taken for this too; say 'now' of what is not to wait"
        least = Risk.MED if ACTIONS[intent.action].changes else Risk.LOW
        return replace(timed, risk=worst(timed.risk, least), warnings=(*timed.warnings, told))


def at_their_moments(understood: Iterable[Understood], now: datetime) -> list[Understood]:
    """The intents as they were said, each at the moment that holds for it."""
    parts: list[_Part] = []
    doubts: dict[int, str] = {}  # by sentence
    carrier: _Part | None = None  # whose moment holds for what follows
    for _, group in groupby(understood, key=lambda one: id(one[0])):
        part = _part(list(group))
        if carrier and carrier.clause.sentence != part.clause.sentence and _only_speaks(carrier.clause):
            carrier = None
        if why := _place(part, carrier.moment if carrier else None, parts, now):
            doubts.setdefault(part.clause.sentence, why)
        parts.append(part)
        if part.now is not None:
            carrier = None if part.leads(part.now) else carrier
        elif part.own is not None and (part.leads(part.own) or not part.clause.is_negated):
            carrier = part
    return in_doubt([one for part in parts for one in part.told()], doubts)


def _part(pairs: Sequence[Understood]) -> _Part:
    """A clause with its intents and its moment; its day and its hour are one by now (`times.at_one_time`)."""
    clause = pairs[0][0]
    said = [token for token in clause.tokens if token.moment is not None]
    own = next(iter(said), None)
    if own is not None and len({token.grain for token in said}) > 1:
        own = replace(own, grain="", later=any(token.later for token in said))
    return _Part(clause, [intent for _, intent in pairs], own)


def _only_speaks(clause: Clause) -> bool:
    return clause.is_question or clause.is_negated


def _place(part: _Part, led: Token | None, before: Sequence[_Part], now: datetime) -> str | None:
    """Give a part its moment, and those before it that it reaches back to; why not, where that is over."""
    if part.own is None:
        part.now = _plain_now(part.clause, _NOW if led else _NOW | _AT_ONCE)
        part.moment = None if part.now else led
        return None
    at = _behind(led, part.own, now)
    if led is not None and at is None:
        return f"{led.text!r} and {part.own.text!r} are over"
    part.moment = replace(part.own, moment=at)
    if not part.clause.is_negated:
        _reach_back(part, led, before)
    return None


def _plain_now(clause: Clause, said: frozenset[str]) -> Token | None:
    """The word that says now of the act, not of a thing: `the task that is running now`, `the model loaded now`."""
    last = ""
    for token in clause.tokens:
        if token.word in RELATIVE:
            return None
        if token.word in said and last not in _OF_A_STATE:
            return token
        last = token.word
    return None


def _behind(led: Token | None, own: Token, now: datetime) -> datetime | None:
    """When a moment is that is said behind another one; None where the hour of that day is over."""
    if led is None or led.moment is None or own.moment is None:
        return own.moment
    day, hour = led.moment.date(), own.moment.time()
    if own.later and own.grain == "hours":
        passed = own.moment.astimezone(UTC) - now.astimezone(UTC)
        return (led.moment.astimezone(UTC) + passed).astimezone(led.moment.tzinfo)
    if own.later:
        day += own.moment.date() - now.date()
        return datetime.combine(day, led.moment.time() if own.grain == "day" else hour, tzinfo=led.moment.tzinfo)
    if own.grain != "clock":
        return own.moment
    if led.grain != "day" and is_small_hour(led.moment.time(), hour):
        day += timedelta(days=1)
    at = datetime.combine(day, hour, tzinfo=led.moment.tzinfo)
    if at > now:
        return at
    return None if led.grain == "day" else own.moment


def _reach_back(part: _Part, led: Token | None, before: Sequence[_Part]) -> None:
    """Have the parts before take on the moment behind this one; of a day without an hour, the hour that comes now."""
    run: list[_Part] = []
    for earlier in reversed(before):
        if earlier.clause.sentence != part.clause.sentence or earlier.now is not None:
            break
        if earlier.clause.is_negated:
            continue
        if not _is_reached(earlier, part, led):
            break
        run.append(earlier)
    if any(_is_apart(earlier, part) for earlier in run):
        return
    for earlier in run:
        earlier.reached = part.own.text if part.own and earlier.moment is None else earlier.reached
        earlier.moment = part.moment


def _is_reached(earlier: _Part, part: _Part, led: Token | None) -> bool:
    """Whether a moment may be meant for an earlier part as well: that has none, or only the day to this hour."""
    if part.own is None or part.moment is None or part.moment.moment is None:
        return False
    leads = part.leads(part.own)
    if earlier.moment is None:
        return not leads
    if earlier.moment is not led or led.moment is None or led.grain != "day" or part.own.grain != "clock":
        return False
    return not leads or part.moment.moment < led.moment


def _is_apart(earlier: _Part, part: _Part) -> bool:
    """Whether a part speaks of what an earlier one did: that must have been done by then."""
    if any(token.it or token.word in _IT for token in part.clause.tokens):
        return True
    return any(_is_opposite(one, other) for one in earlier.intents for other in part.intents)


def _is_opposite(one: Intent, other: Intent) -> bool:
    if one.action is None or other.action is None or (one.target and other.target and not things(one) & things(other)):
        return False
    if ACTIONS[one.action].undo == other.action or ACTIONS[other.action].undo == one.action:
        return True
    up, down = {one.action, other.action} & _UP, {one.action, other.action} & _DOWN
    return bool(up and down and one.target and other.target)
