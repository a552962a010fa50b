"""The probabilities of drawn tokens (OpenAI's `logprobs`), told when the text they belong to is. Pure.

Text may be held back for a stop string or for the rest of a character, and what belongs to a stop string is never
shown. So a token's chance waits until its text is out.
"""

from __future__ import annotations

import math
from typing import NamedTuple

_IMPOSSIBLE = -9999.0  # OpenAI's word for a probability too small to be told


class Chance(NamedTuple):
    """What a token was worth: its bytes, its logarithmic probability, and the likeliest tokens with theirs."""

    piece: bytes
    logprob: float
    likeliest: tuple[tuple[bytes, float], ...] = ()


def logprob(probability: float) -> float:
    """The natural logarithm, bounded."""
    return math.log(probability) if probability > 0 else _IMPOSSIBLE


class Chances:
    """Chances in the order of their tokens, each with where in the answer's text its own begins and ends."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, Chance]] = []

    def add(self, chance: Chance, begin: int, end: int) -> None:
        """Note a token whose text lies from `begin` to `end`, in characters since the answer began."""
        self._waiting.append((begin, end, chance))

    def told(self, shown: int, *, over: bool) -> tuple[Chance, ...]:
        """Those whose text is out, now that `shown` characters are; when it is `over`, a part of it is enough."""
        out = [chance for begin, end, chance in self._waiting if (begin < shown if over else end <= shown)]
        self._waiting = [] if over else self._waiting[len(out) :]
        return tuple(out)
