"""Numbers and durations, in digits and in words, Spanish and English.

Functions look at a list of tokens from a place on, and give what they found with the place after it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from madre.language.numerals import (
    AND,
    ARTICLES,
    COUPLE,
    FRACTIONS,
    HUNDRED,
    MEBIBYTES,
    SMALL,
    THOUSAND,
    UNITS,
)
from madre.language.words import Kind, Token

_COMPACT = re.compile(r"(?:\d+(?:[.,]\d+)?(?:d|h|hrs?|hs|min|mins|m|seg|segs|sec|secs|s)){1,3}(\d{1,2})?")
_SIZE = re.compile(r"\d{3,}m")  # `270m` is how large a model is
_LONGEST = 12  # words of one number
_PART = re.compile(r"(\d+(?:[.,]\d+)?)([a-z]+)")

Found = tuple[float, int] | None


def number_at(tokens: Sequence[Token], i: int) -> Found:
    """The number that begins at `i`: `25`, `1,5`, `veinticinco`, `a hundred and twenty`."""
    if i >= len(tokens):
        return None
    token = tokens[i]
    if token.kind is Kind.NUMBER:
        return float(token.text.replace(",", ".")), i + 1
    if token.kind is Kind.NAME and all(part in SMALL for part in token.word.split("-")):
        return sum(SMALL[part] for part in token.word.split("-")), i + 1
    return _spelled(tokens, i)


def _spelled(tokens: Sequence[Token], i: int) -> Found:
    if _word(tokens, i) in ARTICLES and _word(tokens, i + 1) in HUNDRED | THOUSAND:
        i += 1
    total, part, began = 0.0, 0.0, i
    while (word := _word(tokens, i)) and i < began + _LONGEST:
        if word in AND and i > began and part >= 20 and _word(tokens, i + 1) in SMALL:
            word, i = _word(tokens, i + 1), i + 1
        if word in SMALL:
            part += SMALL[word]
        elif word in HUNDRED:
            part = 100 * (part or 1)
        elif word in THOUSAND:
            total, part = total + 1000 * (part or 1), 0.0
        else:
            break
        i += 1
    return (total + part, i) if i > began else None


def duration_at(tokens: Sequence[Token], i: int) -> Found:
    """The duration, seconds, that begins at `i`: `90s`, `1h30m`, `dos horas y media`, `half an hour`."""
    if i >= len(tokens):
        return None
    if compact := _compact(tokens[i], i):
        return compact
    found = _of_unit(tokens, i)
    if found is None:
        return None
    seconds, unit, i = found
    while more := _more(tokens, i, unit):
        seconds, unit, i = seconds + more[0], more[1], more[2]
    return seconds, i


def memory_at(tokens: Sequence[Token], i: int) -> Found:
    """The amount of memory, MiB, that begins at `i`: `256 MB`, `512mb`, `un giga`."""
    if i < len(tokens) and tokens[i].kind is Kind.NAME:
        compact = _PART.fullmatch(tokens[i].word)
        if compact and compact[2] in MEBIBYTES:
            return float(compact[1].replace(",", ".")) * MEBIBYTES[compact[2]], i + 1
        return None
    found = number_at(tokens, i) or ((1.0, i + 1) if _word(tokens, i) in ARTICLES else None)
    if found and _word(tokens, found[1]) in MEBIBYTES:
        return found[0] * MEBIBYTES[_word(tokens, found[1])], found[1] + 1
    return None


def _compact(token: Token, i: int) -> Found:
    match = _COMPACT.fullmatch(token.word) if token.kind is Kind.NAME else None
    if match is None or _SIZE.fullmatch(token.word):
        return None
    parts = _PART.findall(token.word)
    seconds = sum(float(value.replace(",", ".")) * UNITS[unit if unit != "hs" else "h"] for value, unit in parts)
    return seconds + 60.0 * float(match[1] or 0), i + 1


def _of_unit(tokens: Sequence[Token], i: int) -> tuple[float, float, int] | None:
    """Seconds, the unit they were said in, and the place after it."""
    began = i
    count: float | None = None
    found = number_at(tokens, i)
    if found:
        count, i = found
    elif _word(tokens, i) in ARTICLES:
        count, i = 1.0, i + 1
    if _word(tokens, i) in COUPLE:
        count, i = 2.0, i + 1
    elif _word(tokens, i) in FRACTIONS:
        count, i = (count or 1.0) * FRACTIONS[_word(tokens, i)], i + 1
    elif count is not None and (half := _fraction_at(tokens, i)):
        count, i = count + half[0], half[1]
    for _ in range(2 if i > began else 0):  # `half an hour`, `tres cuartos de una hora`
        i += _word(tokens, i) in ("de", "of", "a", "an", "una")
    unit = UNITS.get(_word(tokens, i))
    if count is None or unit is None:
        return None
    return count * unit, unit, i + 1


def _more(tokens: Sequence[Token], i: int, unit: float) -> tuple[float, float, int] | None:
    """What is added to a duration: `y media`, `and a half`, `y 20 segundos`."""
    fraction = _fraction_at(tokens, i)
    if fraction and _word(tokens, fraction[1]) not in UNITS:
        return fraction[0] * unit, 0.0, fraction[1]
    smaller = _of_unit(tokens, i + 1 if _word(tokens, i) in AND else i)
    return smaller if smaller and smaller[1] < unit else None


def _fraction_at(tokens: Sequence[Token], i: int) -> Found:
    """`y media`, `and a half`."""
    if _word(tokens, i) not in AND:
        return None
    i += 2 if _word(tokens, i + 1) in ARTICLES else 1
    return (FRACTIONS[_word(tokens, i)], i + 1) if _word(tokens, i) in FRACTIONS else None


def _word(tokens: Sequence[Token], i: int) -> str:
    return tokens[i].word if i < len(tokens) and tokens[i].kind is Kind.WORD else ""
