"""Durations and moments in a sentence: for how long, until when, and when at all, told what time it is.

`for ten minutes`, `hasta las 18:00`, `dentro de media hora`, `mañana a las 8`. A clock time without a day is the next
one; times are in the zone of `now`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, time, timedelta

from madre.language.numerals import (
    AFTER,
    DAYS,
    FRACTIONS,
    HALF_DAYS,
    LASTING,
    LATER,
    NAMED_TIMES,
    PARTS_OF_DAY,
    UNITS,
    UNTIL,
    WEEKDAYS,
)
from madre.language.quantities import duration_at, number_at
from madre.language.words import Kind, Token

_CLOCK = re.compile(r"([01]?\d|2[0-3])(?:[:.h]([0-5]\d))?h?(am|pm)?")


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


def _span_at(tokens: Sequence[Token], i: int, now: datetime) -> tuple[Token, int] | None:
    word = _word(tokens, i)
    if word in UNTIL:
        moment = _moment_at(tokens, _past_articles(tokens, i + 1), now, prefixed=True)
        return _span(tokens, i, moment[1], seconds=(moment[0] - now).total_seconds()) if moment else None
    if (word, _word(tokens, i + 1), _word(tokens, i + 2)) == ("de", "aqui", "a"):
        return _later(tokens, i, i + 3, now)
    if word in AFTER:
        start = i + 2 if _word(tokens, i + 1) == "de" else i + 1
        return _later(tokens, i, start, now)
    if word in LASTING:
        lasting = duration_at(tokens, _past_articles(tokens, i + 1))
        return _span(tokens, i, lasting[1], seconds=lasting[0]) if lasting else None
    lasting = duration_at(tokens, i)
    if lasting:
        return _lasting(tokens, i, lasting, now)
    moment = _moment_at(tokens, i, now)
    return _span(tokens, i, moment[1], moment=moment[0]) if moment else None


def _later(tokens: Sequence[Token], i: int, start: int, now: datetime) -> tuple[Token, int] | None:
    lasting = duration_at(tokens, start)
    return _span(tokens, i, lasting[1], moment=now + timedelta(seconds=lasting[0])) if lasting else None


def _lasting(tokens: Sequence[Token], i: int, found: tuple[float, int], now: datetime) -> tuple[Token, int]:
    seconds, end = found
    following = (_word(tokens, end), _word(tokens, end + 1))
    for length in (1, 2):
        if following[:length] in LATER:
            return _span(tokens, i, end + length, moment=now + timedelta(seconds=seconds))
    return _span(tokens, i, end, seconds=seconds)


def _moment_at(
    tokens: Sequence[Token], i: int, now: datetime, *, prefixed: bool = False
) -> tuple[datetime, int] | None:
    """A day, a clock time, or both in either order."""
    day = _day_at(tokens, i, now)
    clock = _clock_at(tokens, day[1] if day else i, prefixed=prefixed)
    if day is None and clock is not None:
        day = _day_at(tokens, clock[1], now)
        end = day[1] if day else clock[1]
    elif day is not None:
        end = clock[1] if clock else day[1]
    else:
        return None
    moment = now + timedelta(days=day[0] if day else 0)
    if clock:
        moment = datetime.combine(moment.date(), clock[0], tzinfo=now.tzinfo)
    if moment <= now and (day is None or day[2]):
        moment += timedelta(days=7 if day else 1)
    return moment, end


def _day_at(tokens: Sequence[Token], i: int, now: datetime) -> tuple[int, int, bool] | None:
    """Days from today, the place after it, and whether it is a day of the week."""
    if _word(tokens, i) == "pasado" and _word(tokens, i + 1) == "manana":
        return 2, i + 2, False
    j = i + 1 if _word(tokens, i) in ("el", "on", "next", "this", "proximo") else i
    j = j + 1 if _word(tokens, j) == "proximo" else j
    if _word(tokens, j) in WEEKDAYS:
        ahead = (WEEKDAYS[_word(tokens, j)] - now.weekday()) % 7
        return ahead, j + 1, True
    if _word(tokens, i) in DAYS and _word(tokens, i - 1) not in ("la", "the"):
        return DAYS[_word(tokens, i)], i + 1, False
    return None


def _clock_at(tokens: Sequence[Token], i: int, *, prefixed: bool = False) -> tuple[time, int] | None:
    """`a las 8 y media de la tarde`, `at 3pm`, `15:30`, `at noon`. A bare number is a time after a preposition only."""
    if part := _part_of_day_at(tokens, i):
        return _within(part[0], _clock_at(tokens, part[1])) or part
    if _word(tokens, i) in ("at", "a", "para", "by"):
        i, prefixed = _past_articles(tokens, i + 1), True
    if i >= len(tokens) or _word(tokens, i + 1) in UNITS:  # `a 1 hora` is how long
        return None
    if prefixed and _word(tokens, i) in NAMED_TIMES:
        return NAMED_TIMES[_word(tokens, i)], i + 1
    return _hour_at(tokens, i, prefixed=prefixed)


def _hour_at(tokens: Sequence[Token], i: int, *, prefixed: bool) -> tuple[time, int] | None:
    match = _CLOCK.fullmatch(tokens[i].word) if tokens[i].kind in (Kind.NAME, Kind.NUMBER) else None
    if match and (prefixed or match[2] or match[3]):
        return _adjusted(tokens, i + 1, int(match[1]), int(match[2] or 0), match[3] or "")
    spelled = number_at(tokens, i) if prefixed and match is None else None
    if spelled is None or not 0 <= spelled[0] <= 24:
        return None
    return _adjusted(tokens, spelled[1], int(spelled[0]) % 24, 0, "")


def _within(part: time, clock: tuple[time, int] | None) -> tuple[time, int] | None:
    """A clock time as it is meant in a part of the day: `esta noche a las 9` is 21:00."""
    if clock is None:
        return None
    return clock[0].replace(hour=clock[0].hour % 12 + 12) if part.hour >= 12 else clock[0], clock[1]


def _part_of_day_at(tokens: Sequence[Token], i: int) -> tuple[time, int] | None:
    """`por la mañana`, `esta noche`, `in the evening`, `tonight`: an hour in the middle of it."""
    if _word(tokens, i) == "tonight":
        return PARTS_OF_DAY["tonight"], i + 1
    if _word(tokens, i) in ("por", "in") and _word(tokens, i + 1) in ("la", "the"):
        i += 1
    elif _word(tokens, i) not in ("esta", "this"):
        return None
    part = PARTS_OF_DAY.get(_word(tokens, i + 1))
    return (part, i + 2) if part else None


def _adjusted(tokens: Sequence[Token], i: int, hour: int, minute: int, half: str) -> tuple[time, int]:
    """The time with what is said after the hour: `y media`, `menos cuarto`, `pm`, `de la tarde`."""
    joined, part = _word(tokens, i), _word(tokens, i + 1)
    if joined in ("y", "menos") and part in FRACTIONS:
        past = round(60 * FRACTIONS[part])
        hour, minute, i = (hour, past, i + 2) if joined == "y" else ((hour - 1) % 24, 60 - past, i + 2)
    j = i
    while _word(tokens, j) in ("de", "la", "in", "the", "por", "h", "horas", "punto", "en"):
        j += 1
    if _word(tokens, j) in HALF_DAYS:
        half, i = _word(tokens, j), j + 1
    elif _word(tokens, i) in ("h", "horas"):
        i += 1
    return time((hour % 12) + HALF_DAYS[half] if half else hour, minute), i


def _past_articles(tokens: Sequence[Token], i: int) -> int:
    """The place after up to three articles and prepositions."""
    articles = ("las", "la", "el", "the", "at", "a", "on")
    return next((j for j in range(i, i + 3) if _word(tokens, j) not in articles), i + 3)


def _span(
    tokens: Sequence[Token], i: int, end: int, *, seconds: float | None = None, moment: datetime | None = None
) -> tuple[Token, int]:
    said = " ".join(token.text for token in tokens[i:end])
    token = Token(Kind.SPAN, said, said, tokens[i].start, tokens[end - 1].end, seconds=seconds, moment=moment)
    return token, end


def _word(tokens: Sequence[Token], i: int) -> str:
    return tokens[i].word if 0 <= i < len(tokens) and tokens[i].kind is Kind.WORD else ""
