"""Saved states of sequences in RAM: what left the KV memory and may be wanted again, bounded, oldest use first out.

A state lies in an anonymous mapping of its own, so that dropping it gives the memory back to the machine at once;
a heap would keep it.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from switch.worker.radix import RadixTree


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """The state of a sequence that held `tokens`."""

    tokens: list[int]
    data: mmap.mmap
    size: int


class States:
    """At most `budget` bytes of states. `on_drop` is told what must go for want of room, before it goes."""

    def __init__(self, budget: int, on_drop: Callable[[State], None]) -> None:
        self.budget = budget
        self.used = 0
        self._on_drop = on_drop
        self._tree: RadixTree[State] = RadixTree()
        self._by_age: dict[State, None] = {}  # the one used longest ago first

    def __len__(self) -> int:
        return len(self._by_age)

    def __iter__(self) -> Iterator[State]:
        return iter(list(self._by_age))

    def __contains__(self, state: State) -> bool:
        return state in self._by_age

    def matches(self, tokens: list[int]) -> Iterator[tuple[int, State]]:
        """The states that begin like `tokens`, with how far, longest first."""
        return self._tree.matches(tokens)

    def add(self, tokens: list[int], size: int, fill: Callable[[memoryview], bool]) -> bool:
        """Take a state of `size` bytes that `fill` writes; False when it is too large or cannot be written.

        States of beginnings of `tokens` are no use any more, and go.
        """
        if not 0 < size <= self.budget:
            return False
        for state in self._tree.covered(tokens):
            self._remove(state)
        while self.used + size > self.budget:
            oldest = next(iter(self._by_age))
            self._on_drop(oldest)
            self._remove(oldest)
        data = mmap.mmap(-1, size)
        with memoryview(data) as view:
            filled = fill(view)
        if not filled:
            data.close()
            return False
        state = State(tokens, data, size)
        self._tree.insert(tokens, state)
        self._by_age[state] = None
        self.used += size
        return True

    def touch(self, state: State) -> None:
        """It was of use just now."""
        del self._by_age[state]
        self._by_age[state] = None

    def _remove(self, state: State) -> None:
        self._tree.remove(state)
        del self._by_age[state]
        self.used -= state.size
        state.data.close()
