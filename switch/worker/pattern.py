"""A regular expression of a JSON schema as a rule of a grammar for the JSON string that matches it. Pure.

Python's own parser reads the expression, so what is understood is what `re` understands; what no grammar can say
(looking around, references back) is refused by name. A class never lets a quote, a backslash or a control
character through: they would end the string or make it no JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from re import _constants, _parser  # type: ignore[attr-defined]  # the one parser of this syntax in the library
from typing import Any

MAX_PATTERN_CHARACTERS = 1000
MAX_REPEAT = 1000  # llama.cpp takes up to 2000 of one rule
CHARACTER = r'[^"\\\x7F\x00-\x1F]'
_CLASSES = {
    _constants.CATEGORY_DIGIT: "0-9",
    _constants.CATEGORY_WORD: "a-zA-Z0-9_",
    _constants.CATEGORY_SPACE: " ",
}
_UNSAFE = r"\"\\\x7F\x00-\x1F"


class PatternError(ValueError):
    """The expression cannot be turned into a grammar; the message says why."""


def rule_of(pattern: str) -> str:
    """The grammar of a JSON string whose text the expression finds a match in; raises PatternError."""
    if len(pattern) > MAX_PATTERN_CHARACTERS:
        raise PatternError(f"a pattern has {len(pattern)} characters, the most is {MAX_PATTERN_CHARACTERS}")
    try:
        parts = list(_parser.parse(pattern, re.ASCII))
    except (re.error, RecursionError, OverflowError) as error:
        raise PatternError(f"the pattern {pattern[:80]!r} is no regular expression: {error}") from error
    anchored_left, anchored_right = _is_at(parts[:1], "AT_BEGINNING"), _is_at(parts[-1:], "AT_END")
    inner = _sequence(parts[anchored_left : len(parts) - anchored_right])
    before, after = ("" if anchored else f"{CHARACTER}* " for anchored in (anchored_left, anchored_right))
    return f'"\\"" {before}({inner}) {after}"\\""'


def literal(text: str) -> str:
    """`text` as the grammar spells it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def _is_at(parts: list[Any], name: str) -> bool:
    places = {getattr(_constants, name), getattr(_constants, f"{name}_STRING")}
    return bool(parts) and parts[0][0] is _constants.AT and parts[0][1] in places


def _sequence(parts: Iterable[Any]) -> str:
    return " ".join(_part(kind, value) for kind, value in parts) or '""'


def _part(kind: Any, value: Any) -> str:
    if kind is _constants.LITERAL:
        return literal(json.dumps(chr(value), ensure_ascii=False)[1:-1])
    if kind is _constants.NOT_LITERAL:
        return f"[^{_in_class(value)}{_UNSAFE}]"
    if kind is _constants.ANY:
        return CHARACTER
    if kind is _constants.IN:
        return _class(value)
    if kind in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
        return _repeat(*value)
    if kind is _constants.SUBPATTERN:
        return f"({_sequence(value[3])})"
    if kind is _constants.BRANCH:
        return "(" + " | ".join(_sequence(branch) for branch in value[1]) + ")"
    raise PatternError(f"a grammar has nothing like {str(kind).lower()} in a pattern")


def _repeat(least: int, most: Any, parts: Iterable[Any]) -> str:
    bounds = [least] if most is _constants.MAXREPEAT else [least, most]
    if max(bounds) > MAX_REPEAT:
        raise PatternError(f"a pattern repeats {max(bounds)} times, the most is {MAX_REPEAT}")
    return f"({_sequence(parts)}){{{least},{'' if len(bounds) == 1 else most}}}"


def _class(members: list[Any]) -> str:
    """A class of characters; one that is not negated keeps its escapes outside, where JSON spells them."""
    negated = members[0][0] is _constants.NEGATE
    inside, outside = "", []
    for kind, value in members[negated:]:
        if kind is _constants.LITERAL and not negated and (value < 0x20 or chr(value) in '"\\'):
            outside.append(_part(kind, value))
        elif kind is _constants.LITERAL:
            inside += _in_class(value)
        elif kind is _constants.RANGE:
            inside += f"{_in_class(value[0])}-{_in_class(value[1])}"
        elif kind is _constants.CATEGORY and value in _CLASSES:
            inside += _CLASSES[value]
        else:
            raise PatternError(f"a grammar has nothing like {str(value).lower()} in a class")
    if negated:
        return f"[^{inside}{_UNSAFE}]"
    return "(" + " | ".join(([f"[{inside}]"] if inside else []) + outside) + ")"


def _in_class(point: int) -> str:
    """A character as it stands in a class, by its number where it could mean something there."""
    return chr(point) if chr(point).isalnum() else f"\\U{point:08X}"
