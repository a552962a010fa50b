"""Clock times: `a las 8 y media de la tarde`, `at half past eight`, `15:30`, `tonight at 9`, `a mediodía`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import time
from typing import NamedTuple

from madre.language.numerals import (
    ARTICLES,
    BARE_PARTS,
    FRACTIONS,
    HALF_DAYS,
    LATER,
    NAMED_TIMES,
    NIGHT,
    PARTS_OF_DAY,
    SMALL,
    UNITS,
)
from madre.language.quantities import number_at
from madre.language.words import Kind, Token

_CLOCK = re.compile(r"([01]?\d|2[0-3])(?:[:.h]([0-5]\d))?h?(am|pm|[ap]\.m)?")
_LATE = 20  # from this hour on a part of the day goes on past midnight: `tonight at 1`
_SMALL_HOURS = 6
_PAST, _TO = ("past", "after"), ("to", "till", "before")


class Clock(NamedTuple):
    """A time and the place after it. `is_today`: said of today ("tonight"); `past_midnight`: it is on the next day."""

    time: time
    end: int
    is_today: bool = False
    past_midnight: bool = False


def clock_at(tokens: Sequence[Token], i: int, *, prefixed: bool = False, after_day: bool = False) -> Clock | None:
    """The clock time that begins at `i`. A bare number is one after a preposition, a bare `morning` after a day."""
    if part := _part_of_day_at(tokens, i, after_day=after_day):
        clock = clock_at(tokens, part.end) if word_at(tokens, part.end) in ("at", "a") else None
        return _within(part, clock) if clock else part
    named = False
    if word_at(tokens, i) in ("at", "a", "para", "by"):
        begin, prefixed = i + 1, True
        i = past_articles(tokens, begin)
        named = any(word_at(tokens, j) in ("la", "las") for j in range(begin, i))
    if i >= len(tokens) or (word_at(tokens, i + 1) in UNITS and not named):  # `a 1 hora` is how long
        return None
    if prefixed and word_at(tokens, i) in NAMED_TIMES:
        return Clock(NAMED_TIMES[word_at(tokens, i)], i + 1)
    clock = _past_or_to(tokens, i, prefixed=prefixed) or _hour_at(tokens, i, prefixed=prefixed)
    part = _part_of_day_at(tokens, clock.end) if clock else None
    return _within(part, clock._replace(end=part.end)) if clock and part else clock


def is_small_hour(late: time, hour: time) -> bool:
    """Whether an hour said after a late one is past midnight: `tonight at 11 … and at 1`."""
    return late.hour >= _LATE and hour.hour < _SMALL_HOURS


def past_articles(tokens: Sequence[Token], i: int) -> int:
    """The place after up to three articles and prepositions."""
    articles = ("las", "la", "el", "the", "at", "a", "on")
    return next((j for j in range(i, i + 3) if word_at(tokens, j) not in articles), i + 3)


def word_at(tokens: Sequence[Token], i: int) -> str:
    """The word at a place; none where something else stands there."""
    return tokens[i].word if 0 <= i < len(tokens) and tokens[i].kind is Kind.WORD else ""


def phrase_at(tokens: Sequence[Token], i: int, phrases: Sequence[tuple[str, ...]]) -> int | None:
    """The place after the first of these phrases that stands at `i`."""
    return next((i + len(one) for one in phrases if all(word_at(tokens, i + k) == w for k, w in enumerate(one))), None)


def _past_or_to(tokens: Sequence[Token], i: int, *, prefixed: bool) -> Clock | None:
    """`half past eight`, `a quarter to nine`, `ten past 8`; `ten to nine` needs its `at`."""
    i += word_at(tokens, i) == "a"
    if word_at(tokens, i) in FRACTIONS:
        minutes, j = 60 * FRACTIONS[word_at(tokens, i)], i + 1
    elif (found := number_at(tokens, i)) and 1 <= found[0] < 60:
        minutes, j = found
        j += word_at(tokens, j) in ("minute", "minutes")
    else:
        return None
    sign = word_at(tokens, j)
    if sign not in _PAST and not (sign in _TO and (prefixed or word_at(tokens, i) in FRACTIONS)):
        return None
    hour = _hour_at(tokens, j + 1, prefixed=True) if j + 1 < len(tokens) else None
    if hour is None or hour.time.minute:
        return None
    shifted = (hour.time.hour * 60 + round(minutes if sign in _PAST else -minutes)) % (24 * 60)
    return hour._replace(time=time(shifted // 60, shifted % 60))


def _hour_at(tokens: Sequence[Token], i: int, *, prefixed: bool) -> Clock | None:
    match = _CLOCK.fullmatch(tokens[i].word) if tokens[i].kind in (Kind.NAME, Kind.NUMBER) else None
    if match and (prefixed or match[2] or match[3]):
        return _adjusted(tokens, i + 1, int(match[1]), int(match[2] or 0), (match[3] or "").replace(".", ""))
    if not prefixed or match:
        return None
    hour = SMALL.get(word_at(tokens, i), 25)
    if tokens[i].kind is Kind.NAME and (found := number_at(tokens, i)):  # `twenty-one`
        hour = int(found[0])
    if hour > 24:
        return None
    minutes = number_at(tokens, i + 1) if word_at(tokens, i + 1) else None  # `eight thirty`
    if minutes and 10 <= minutes[0] < 60 and word_at(tokens, minutes[1]) not in UNITS:
        return _adjusted(tokens, minutes[1], hour % 24, int(minutes[0]), "")
    return _adjusted(tokens, i + 1, hour % 24, 0, "")


def _adjusted(tokens: Sequence[Token], i: int, hour: int, minute: int, half: str) -> Clock:
    """The time with what is said after the hour: `y media`, `menos diez`, `pm`, `de la tarde`."""
    found = _minutes_at(tokens, i) if minute == 0 else None
    if found:
        past, i = found
        hour, minute = (hour - (past < 0)) % 24, past % 60
    j = i
    while word_at(tokens, j) in ("de", "la", "in", "the", "por", "h", "horas", "punto", "en"):
        j += 1
    if word_at(tokens, j) in HALF_DAYS:
        half, i = word_at(tokens, j), j + 1
    elif word_at(tokens, i) in ("h", "horas"):
        i += 1
    return _in_half(hour, minute, half, i) if half else Clock(time(hour, minute), i)


def _in_half(hour: int, minute: int, half: str, end: int) -> Clock:
    """The hour of a half of the day: `12 de la noche` is midnight, `12 de la mañana` is noon."""
    if half in NIGHT and hour % 12 < _SMALL_HOURS:
        return Clock(time(hour % 12, minute), end)
    if half == "manana" and hour == 12:
        return Clock(time(12, minute), end)
    return Clock(time((hour % 12) + HALF_DAYS[half], minute), end)


def _minutes_at(tokens: Sequence[Token], i: int) -> tuple[int, int] | None:
    """Minutes after or (negative) before the hour: `y media`, `menos cuarto`, `y veinte`."""
    joined, said = word_at(tokens, i), word_at(tokens, i + 1)
    if joined not in ("y", "menos"):
        return None
    sign = 1 if joined == "y" else -1
    if said in FRACTIONS:
        return sign * round(60 * FRACTIONS[said]), i + 2
    found = None if said in ARTICLES else number_at(tokens, i + 1)
    if found is None or found[0] not in range(1, 60):
        return None
    end = found[1] + (word_at(tokens, found[1]) in ("minuto", "minutos"))
    later = any((word_at(tokens, end), word_at(tokens, end + 1))[:length] in LATER for length in (1, 2))
    return None if later or word_at(tokens, end) in UNITS else (sign * int(found[0]), end)


def _within(part: Clock, clock: Clock) -> Clock:
    """A clock time in a part of the day: `esta noche a las 9` is 21:00, `tonight at 1` is past midnight."""
    hour = clock.time.hour
    if part.time.hour >= _LATE and hour % 12 < _SMALL_HOURS:
        return Clock(clock.time.replace(hour=hour % 12), clock.end, part.is_today, past_midnight=True)
    told = clock.time.replace(hour=hour % 12 + 12) if part.time.hour >= 12 else clock.time
    return Clock(told, clock.end, part.is_today)


def _part_of_day_at(tokens: Sequence[Token], i: int, *, after_day: bool = False) -> Clock | None:
    """`por la mañana`, `esta noche`, `in the evening`, `tonight`: an hour in the middle of it."""
    if word_at(tokens, i) == "tonight":
        return Clock(PARTS_OF_DAY["tonight"], i + 1, is_today=True)
    if after_day and word_at(tokens, i) in BARE_PARTS:
        return Clock(PARTS_OF_DAY[word_at(tokens, i)], i + 1)
    is_today = word_at(tokens, i) in ("esta", "this")
    if word_at(tokens, i) in ("por", "in", "en") and word_at(tokens, i + 1) in ("la", "the"):
        i += 1
    elif not is_today:
        return None
    part = PARTS_OF_DAY.get(word_at(tokens, i + 1))
    return Clock(part, i + 2, is_today) if part else None
