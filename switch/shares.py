"""Who has been given how much, so that the one who was given least goes next. Pure.

This is deficit round robin with an endlessly small quantum (start-time fair queueing; Goyal, Vin, Cheng 1996):
each key has an account of the seconds it was given, and the smallest goes next. Whoever comes anew starts at the
level that those who are served have reached, so nobody saves up time by staying away. Of two keys that always
want something, none is ever ahead by more than its largest request.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Shares(Generic[K]):
    """The accounts of keys that compete."""

    def __init__(self) -> None:
        self._given: dict[K, float] = {}
        self._wanted: dict[K, int] = {}
        self._level = 0.0

    def __len__(self) -> int:
        return len(self._given)

    def joins(self, key: K) -> None:
        """One more request of `key` is here; each must leave again."""
        self._wanted[key] = self._wanted.get(key, 0) + 1
        self._given[key] = max(self._given.get(key, 0.0), self._level)

    def leaves(self, key: K) -> None:
        """One request of `key` is over or was given up. Debts are kept while there is somebody to compete with."""
        self._wanted[key] -= 1
        if not self._wanted[key]:
            del self._wanted[key]
        if not self._wanted:
            self._given.clear()
        elif self._given[key] <= self._level and key not in self._wanted:
            del self._given[key]

    def given(self, key: K) -> float:
        """Seconds that `key` was given so far, from where it began."""
        return self._given[key]

    def goes(self, key: K, seconds: float) -> None:
        """`key` was chosen, and will be given so many seconds."""
        self._level = max(self._level, self._given[key])
        self._given[key] += seconds

    def corrects(self, key: K, seconds: float) -> None:
        """It took so many seconds more (or less) than was thought when `key` was chosen."""
        self._given[key] += seconds
