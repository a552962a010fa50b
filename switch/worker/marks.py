"""Marks around control tokens that somebody spelled out in a message, so that a template carries them through. Pure.

The marks are two code points that Unicode sets aside for use inside a program and that the conversation does not
hold. Templates trim, cut and compare what they are given; a mark inside the text changes none of that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from config.errors import Invalid

_NONCHARACTERS = [chr(point) for point in range(0xFDD0, 0xFDF0)]
# As most control tokens look; those of another shape are looked for by name.
_SHAPE = re.compile(r"<[^<>\s]+>|\[[^\[\]\s]+\]")


class Controls:
    """The spellings of a vocabulary's control tokens."""

    def __init__(self, spellings: Iterable[str]) -> None:
        self._shaped = frozenset(one for one in spellings if _SHAPE.fullmatch(one))
        others = sorted((one for one in spellings if one and one not in self._shaped), key=len, reverse=True)
        self._pattern = re.compile("|".join([*map(re.escape, others), _SHAPE.pattern]))

    def stand_in(self, text: str) -> bool:
        """Whether the text spells one of them."""
        return any(self._is_one(found[0]) for found in self._pattern.finditer(text))

    def marked(self, text: str, begin: str, end: str) -> str:
        """The text with a mark before and after each of them."""
        return self._pattern.sub(lambda found: f"{begin}{found[0]}{end}" if self._is_one(found[0]) else found[0], text)

    def _is_one(self, found: str) -> bool:
        return found in self._shaped or not _SHAPE.fullmatch(found)


class Marks:
    """The marks of one conversation; without any where it spells no control token."""

    def __init__(self, controls: Callable[[], Controls], conversation: Any) -> None:
        """`controls` is only called for a text that could spell one: it may have to look at a whole vocabulary."""
        self._controls: Controls | None = None
        texts = [text for text in texts_of(conversation) if "<" in text or "[" in text]
        if texts and any(map(controls().stand_in, texts)):
            self._controls = controls()
            self._begin, self._end = _unused(texts_of(conversation))

    def on(self, value: Any) -> Any:
        """`value` with marks in all its texts."""
        if self._controls is None:
            return value
        if isinstance(value, str):
            return self._controls.marked(value, self._begin, self._end)
        if isinstance(value, list):
            return [self.on(one) for one in value]
        return {name: self.on(one) for name, one in value.items()} if isinstance(value, dict) else value

    def split(self, text: str) -> Iterator[tuple[str, bool]]:
        """The text in pieces without marks, each with whether control tokens in it count as such."""
        if self._controls is None:
            yield text, True
            return
        for number, piece in enumerate(text.split(self._begin)):
            inside, ended, outside = piece.partition(self._end)
            if number == 0 or not ended:
                yield piece, True
                continue
            yield inside, False
            yield outside, True


def texts_of(value: Any) -> Iterator[str]:
    """All texts inside a value, keys of objects left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value if isinstance(value, list) else value.values():
            yield from texts_of(one)


def _unused(texts: Iterable[str]) -> tuple[str, str]:
    used = {character for text in texts for character in _NONCHARACTERS if character in text}
    free = [character for character in _NONCHARACTERS if character not in used]
    if len(free) < 2:
        raise Invalid("The messages use all code points that Unicode sets aside for programs; leave two of them out.")
    return free[0], free[1]
