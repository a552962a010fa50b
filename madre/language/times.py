"""Durations and moments in a sentence: for how long, until when, and when at all, told what time it is.

`for ten minutes`, `hasta las 18:00`, `dentro de media hora`, `mañana a las 8`. A clock time without a day is the next
one; times are in the zone of `now`. What is over ("today at 8", said at noon; "an hour ago") and what is more than once
("on Mondays") says in its `doubt` why it cannot be meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from madre.language import dates
from madre.language.clocks import Clock, clock_at, past_articles, phrase_at, word_at
from madre.language.numerals import (
    AFTER,
    AFTER_WEEKDAYS,
    AGO,
    BEFORE_WEEKDAYS,
    DAYS,
    EACH,
    FROM_A_DAY,
    FROM_NOW,
    LASTING,
    LATER,
    NEXT,
    OF_NEXT_WEEK,
    UNITS,
    UNTIL,
    WEEKDAYS,
    WEEKDAYS_ALL,
)
from madre.language.quantities import duration_at
from madre.language.words import Grain, Kind, Token

_DAY = UNITS["day"]
_SAY = "is no day that is known here: say 'tomorrow', one day of the next seven, or in how many days"


class Moment(NamedTuple):
    """A moment and the place after it; `is_over` where it was meant to be today, and is past."""

    at: datetime
    end: int
    grain: Grain
    is_over: bool = False


def with_spans(tokens: Sequence[Token], now: datetime) -> list[Token]:
    """The tokens, with each duration and each moment as one token."""
    spanned: list[Token] = []
    i = 0
    while i < len(tokens):
        found = _span_at(tokens, i, now)
        if found is None:
            spanned.append(tokens[i])
            i += 1
        else:
            token, i = found
            spanned.append(token)
    return spanned


def at_one_time(tokens: Sequence[Token]) -> tuple[tuple[Token, ...], str | None]:
    """The tokens of a clause with one moment where a day and an hour are said apart ("tomorrow open switch at 9");
    and why it is in doubt where two moments cannot both be meant."""
    said = [token for token in tokens if token.moment is not None and not token.doubt]
    if len({token.moment for token in said}) < 2:
        return tuple(tokens), None
    both = " and ".join(repr(token.text) for token in said)
    days, clocks = ([token for token in said if token.grain == grain] for grain in ("day", "clock"))
    if len(said) != 2 or not days or not clocks:
        return tuple(tokens), f"{both} are two moments"
    day, clock = days[0].moment, clocks[0].moment
    assert day is not None
    assert clock is not None
    if day.date() < clock.date():  # the hour is the next one, and that is not on this day any more
        return tuple(tokens), f"{both} are over"
    moment = datetime.combine(day.date(), clock.time(), tzinfo=clock.tzinfo)
    return tuple(replace(token, moment=moment) if token in said else token for token in tokens), None


def _span_at(tokens: Sequence[Token], i: int, now: datetime) -> tuple[Token, int] | None:
    word = word_at(tokens, i)
    if word in UNTIL:
        return _until(tokens, i, now)
    if (word, word_at(tokens, i + 1), word_at(tokens, i + 2)) == ("de", "aqui", "a"):
        return _later(tokens, i, i + 3, now, from_now=True)
    found = None
    if end := dates.unreckoned_at(tokens, i):
        found = _span(tokens, i, end, doubt=_SAY)
    elif word in AFTER:
        found = _later(tokens, i, i + 2 if word_at(tokens, i + 1) == "de" else i + 1, now)
    elif word in LASTING and (lasting := duration_at(tokens, past_articles(tokens, i + 1))):
        found = _span(tokens, i, lasting[1], seconds=lasting[0])
    elif word == "hace" and (ago := duration_at(tokens, i + 1)):
        found = _over(tokens, i, ago[1])
    elif many := _each_weekday_at(tokens, i):
        found = _span(tokens, i, many, doubt="is more than once: nothing here does a thing again by itself")
    elif lasting := duration_at(tokens, i):
        found = _lasting(tokens, i, lasting, now)
    return found or _at(tokens, i, now)


def _until(tokens: Sequence[Token], i: int, now: datetime) -> tuple[Token, int] | None:
    moment = _moment_at(tokens, past_articles(tokens, i + 1), now, prefixed=True)
    if moment is None:
        return None
    seconds = (moment.at.astimezone(UTC) - now.astimezone(UTC)).total_seconds()
    if moment.is_over or seconds <= 0:
        return _over(tokens, i, moment.end)
    return _span(tokens, i, moment.end, seconds=seconds, grain="until")


def _later(
    tokens: Sequence[Token], i: int, start: int, now: datetime, *, from_now: bool = False
) -> tuple[Token, int] | None:
    lasting = duration_at(tokens, start)
    return _in_time(tokens, i, lasting[1], lasting[0], now, later=not from_now) if lasting else None


def _lasting(tokens: Sequence[Token], i: int, found: tuple[float, int], now: datetime) -> tuple[Token, int]:
    seconds, end = found
    following = (word_at(tokens, end), word_at(tokens, end + 1))
    if following[0] in AGO:
        return _over(tokens, i, end + 1)
    for length in (1, 2):
        if following[:length] in LATER and not (length == 1 and following[1] in ("de", "del")):
            later = following[:length] not in FROM_NOW
            return _in_time(tokens, i, end + length, seconds, now, later=later)
    if following[0] in FROM_A_DAY and (day := _moment_at(tokens, past_articles(tokens, end + 1), now, prefixed=True)):
        return _span(tokens, i, day.end, doubt=_SAY)
    return _span(tokens, i, end, seconds=seconds)


def _in_time(
    tokens: Sequence[Token], i: int, end: int, seconds: float, now: datetime, *, later: bool
) -> tuple[Token, int]:
    """A moment so much later; in days it is a day, whose hour may be said apart. Hours pass, whatever clocks do."""
    if seconds % _DAY == 0 and any(UNITS.get(token.word, 0) >= _DAY for token in tokens[i:end]):
        token, end = _span(tokens, i, end, moment=now + timedelta(seconds=seconds), grain="day")
    else:
        at = (now.astimezone(UTC) + timedelta(seconds=seconds)).astimezone(now.tzinfo)
        token, end = _span(tokens, i, end, moment=at, grain="hours")
    return replace(token, later=later), end


def _at(tokens: Sequence[Token], i: int, now: datetime) -> tuple[Token, int] | None:
    moment = _moment_at(tokens, i, now)
    if moment is None:
        return None
    if moment.is_over:
        return _over(tokens, i, moment.end)
    return _span(tokens, i, moment.end, moment=moment.at, grain=moment.grain)


def _moment_at(tokens: Sequence[Token], i: int, now: datetime, *, prefixed: bool = False) -> Moment | None:
    """A day, a clock time, or both in either order."""
    day = _day_at(tokens, i, now)
    clock = clock_at(tokens, day[1] if day else i, prefixed=prefixed, after_day=day is not None)
    if day is None and clock is not None:
        day = _day_at(tokens, clock.end, now)
    ends = [day[1] if day else i, clock.end if clock else i]
    return _moment(day, clock, max(ends), now) if day or clock else None


def _moment(day: tuple[int, int, bool] | None, clock: Clock | None, end: int, now: datetime) -> Moment:
    at = now + timedelta(days=day[0] if day else 0)
    if clock:
        at = datetime.combine(at.date() + timedelta(days=clock.past_midnight), clock.time, tzinfo=now.tzinfo)
    is_today = day[0] == 0 and not day[2] if day else clock is not None and clock.is_today
    is_over = is_today and at < now.replace(second=0, microsecond=0)
    if at <= now and not is_today:
        at += timedelta(days=7 if day else 1)
    both = (day and clock) or (clock and clock.is_today)
    return Moment(at, end, "" if both else "day" if day else "clock", is_over)


def _day_at(tokens: Sequence[Token], i: int, now: datetime) -> tuple[int, int, bool] | None:
    """Days from today, the place after it, and whether it is a day of the week."""
    if word_at(tokens, i) == "pasado" and word_at(tokens, i + 1) == "manana":
        return 2, i + 2, False
    if weekday := _weekday_at(tokens, i, now):
        return *weekday, True
    if word_at(tokens, i) in DAYS and word_at(tokens, i - 1) not in ("la", "the"):
        return DAYS[word_at(tokens, i)], i + 1, False
    return None


def _weekday_at(tokens: Sequence[Token], i: int, now: datetime) -> tuple[int, int] | None:
    """Days from today to the next such day, and the place after it: `el próximo lunes`, `friday next week`."""
    begin = i + (word_at(tokens, i) == "on" and word_at(tokens, i + 1) in WEEKDAYS)  # no more: `turn it on this friday`
    j = next((j for j in range(begin, begin + 4) if word_at(tokens, j) not in BEFORE_WEEKDAYS), i)
    if word_at(tokens, j) not in WEEKDAYS:
        return None
    day, said = WEEKDAYS[word_at(tokens, j)], {word_at(tokens, k) for k in range(i, j)}
    if end := phrase_at(tokens, j + 1, OF_NEXT_WEEK):
        return 7 - now.weekday() + day, end
    end = phrase_at(tokens, j + 1, AFTER_WEEKDAYS)
    ahead = (day - now.weekday()) % 7
    return (7 if ahead == 0 and (end or said & NEXT) else ahead), end or j + 1


def _each_weekday_at(tokens: Sequence[Token], i: int) -> int | None:
    """The place after `los lunes`, `every monday`, `on Mondays`."""
    j = i
    while word_at(tokens, j) in EACH and j < i + 3:
        j += 1
    is_one = j == i  # `lunes` is the next one, `los lunes` are all of them
    j += word_at(tokens, j) == "on"
    return j + 1 if word_at(tokens, j) in WEEKDAYS_ALL or (word_at(tokens, j) in WEEKDAYS and not is_one) else None


def _over(tokens: Sequence[Token], i: int, end: int) -> tuple[Token, int]:
    return _span(tokens, i, end, doubt="is over")


def _span(
    tokens: Sequence[Token],
    i: int,
    end: int,
    *,
    seconds: float | None = None,
    moment: datetime | None = None,
    grain: Grain = "",
    doubt: str = "",
) -> tuple[Token, int]:
    said = " ".join(token.text for token in tokens[i:end])
    token = Token(Kind.SPAN, said, said, tokens[i].start, tokens[end - 1].end, seconds=seconds, moment=moment)
    return replace(token, grain=grain, doubt=f"{said!r} {doubt}" if doubt else None), end
