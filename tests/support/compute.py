"""A small stand-in for llama.cpp below the worker's engine: a model that counts.

The next token after a sequence that holds `n` tokens is `n`, so every answer is known beforehand and shows at once
when memory was mixed up, lost or evaluated twice. It checks each batch as strictly as llama.cpp does.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from switch.worker.batch import Slice
from switch.worker.compute import AbortedError, DecodeError
from switch.worker.sampling import Sampling


class CountingSampler:
    """Draws what the row holds; remembers that it was freed."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        """Free it."""
        assert not self.closed
        self.closed = True


class CountingCompute:
    """Implements `switch.worker.compute.Compute`. `gate` holds back each batch after the first
    `free_batches` until the test lets it go; `entered` says that one is held."""

    def __init__(self, *, can_cut: bool = True) -> None:
        self.memory: dict[int, list[int]] = {}
        self.batches: list[list[Slice]] = []
        self.samplers: list[CountingSampler] = []
        self.ending: frozenset[int] = frozenset()
        self.failing = False
        self.broken = False
        self.gate = threading.Event()
        self.gate.set()
        self.free_batches = 0
        self.entered = threading.Event()
        self._aborted = threading.Event()
        self._can_cut = can_cut
        self._rows: list[int] = []

    def sampler(self, sampling: Sampling) -> CountingSampler:
        """A fresh sampler."""
        self.samplers.append(CountingSampler())
        return self.samplers[-1]

    def decode(
        self, slices: Sequence[Slice], tokens: Iterable[tuple[Sequence[int], int]], *, threads: int
    ) -> list[int]:
        """Take the tokens into memory; half of them when aborted on the way."""
        self.batches.append(list(slices))
        assert [part.seq_id for part in slices] == sorted({part.seq_id for part in slices})
        parts = [(part, list(values), start) for part, (values, start) in zip(slices, tokens, strict=True)]
        if len(self.batches) > self.free_batches:
            self._hold()
        if self.broken:
            raise RuntimeError("a bug")
        if self.failing:
            raise DecodeError("cannot compute")
        for part, values, start in parts:
            held = self.memory.setdefault(part.seq_id, [])
            assert start == len(held), "positions must follow what the memory holds"
            assert len(values) == part.size
            held += values[: len(values) // 2] if self._aborted.is_set() else values
        if self._aborted.is_set():
            raise AbortedError("aborted")
        self._rows = [len(self.memory[part.seq_id]) for part in slices]
        return [row if part.last else -1 for row, part in enumerate(slices)]

    def _hold(self) -> None:
        self.entered.set()
        while not (self.gate.wait(0.002) or self._aborted.is_set()):
            pass

    def draw(self, sampler: CountingSampler, row: int) -> int:
        """How many tokens the sequence of the row holds."""
        assert not sampler.closed
        return self._rows[row]

    def chances(self, row: int, token: int, top: int) -> tuple[float, list[tuple[int, float]]]:
        """Half for what was drawn, and a quarter each for the numbers that follow."""
        return 0.5, [(token, 0.5), *((token + step, 0.25) for step in range(1, top))][:top]

    def piece(self, token: int) -> bytes:
        """The number, and a blank."""
        return f"{token} ".encode()

    def ends(self, token: int) -> bool:
        """Whether the test made this token an end."""
        return token in self.ending

    def forget(self, seq_id: int, start: int = 0) -> bool:
        """Cut the memory, or refuse to cut it in the middle, as recurrent models do."""
        held = self.memory.get(seq_id, [])
        if 0 < start < len(held) and not self._can_cut:
            return False
        del held[start:]
        return True

    def abort(self, wanted: bool) -> None:
        """Set or clear the flag."""
        if wanted:
            self._aborted.set()
        else:
            self._aborted.clear()
