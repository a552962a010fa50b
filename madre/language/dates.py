"""Days that nothing here reckons: `next week`, `el 31 de diciembre`, `on 12/31`. An order for one is not done."""

from __future__ import annotations

import re
from collections.abc import Sequence

from madre.language.clocks import clock_at, phrase_at, word_at
from madre.language.numerals import MONTHS, UNITS, VAGUE_DAYS, WEEKDAYS
from madre.language.words import Kind, Token

_ORDINAL = re.compile(r"\d{1,2}(?:st|nd|rd|th)")
_DATE = re.compile(r"\d{1,4}[/-]\d{1,2}(?:[/-]\d{2,4})?")
_VAGUE = {first: [phrase for phrase in VAGUE_DAYS if phrase[0] == first] for first, *_ in VAGUE_DAYS}
_WITH_YEAR = re.compile(r"\d{4}-\d{1,2}-\d{1,2}")
_BEFORE = ("el", "on", "the", "dia", "del")


def unreckoned_at(tokens: Sequence[Token], i: int) -> int | None:
    """The place after such a day."""
    if end := phrase_at(tokens, i, _VAGUE.get(word_at(tokens, i), ())):
        return end
    if word_at(tokens, i) in MONTHS:
        return i + 2 if _is_number(tokens, i + 1) else None
    if word_at(tokens, i) in ("en", "in") and word_at(tokens, i + 1) in MONTHS:
        return i + 2
    return _of_month_at(tokens, i) if _is_number(tokens, i) else None


def _of_month_at(tokens: Sequence[Token], i: int) -> int | None:
    """`31 de diciembre`, `the 31st`, `el 31/12`, `el 31 a las 9`, `el lunes 30`."""
    month = i + 1 + (word_at(tokens, i + 1) in ("de", "of"))
    if word_at(tokens, month) in MONTHS:
        return month + 1
    if _WITH_YEAR.fullmatch(tokens[i].word):
        return i + 1
    if word_at(tokens, i - 1) in WEEKDAYS and word_at(tokens, i + 1) not in UNITS:
        return i + 1
    if word_at(tokens, i - 1) not in _BEFORE:
        return None
    is_day = tokens[i].kind is Kind.NAME or word_at(tokens, i - 1) == "dia"
    return i + 1 if is_day or clock_at(tokens, i + 1) is not None else None


def _is_number(tokens: Sequence[Token], i: int) -> bool:
    """Whether a day of a month may stand at `i`, in digits."""
    if i >= len(tokens):
        return False
    if tokens[i].kind is Kind.NUMBER:
        return True
    return tokens[i].kind is Kind.NAME and bool(_ORDINAL.fullmatch(tokens[i].word) or _DATE.fullmatch(tokens[i].word))
