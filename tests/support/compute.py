"""A small stand-in for llama.cpp below the worker's engine: a model that counts.

The next token after a sequence that holds `n` tokens is `n`, so every answer is known beforehand and shows at once
when memory was mixed up, lost or evaluated twice. It checks each batch as strictly as llama.cpp does.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterable, Sequence

from switch.worker.batch import Slice
from switch.worker.compute import AbortedError, DecodeError, NoRoomError
from switch.worker.sampling import Sampling


class CountingSampler:
    """Draws what the row holds; remembers that it was freed."""

    def __init__(self) -> None:
        self.closed = False

    def close(self) -> None:
        """Free it."""
        assert not self.closed
        self.closed = True


class CountedCell:
    """A cell of memory with one token; sequences that share it hold the same object."""

    __slots__ = ("token",)

    def __init__(self, token: int) -> None:
        self.token = token


class CountingMemory:
    """Implements `switch.worker.compute.Memory` as llama.cpp does: cells shared between sequences, `total` of them.

    `can_cut` is what recurrent models cannot; `window` makes it forget what is not in a sliding window when it is
    saved; `restores` False makes it refuse states.
    """

    def __init__(self, *, can_cut: bool = True, window: int = 0, total: int | None = None) -> None:
        self.window = window
        self.restores = True
        self.is_strict = True  # running out of cells is a fault of the engine, else of the test's own making
        self.sequences: dict[int, list[CountedCell]] = {}
        self._begins: dict[int, int] = {}
        self._can_cut = can_cut
        self._total = total

    @property
    def used(self) -> int:
        """Cells that some sequence holds."""
        return len({id(cell) for held in self.sequences.values() for cell in held})

    def tokens(self, seq_id: int) -> list[int]:
        """What the sequence holds."""
        return [cell.token for cell in self.sequences.get(seq_id, [])]

    def append(self, seq_id: int, tokens: list[int]) -> None:
        """Evaluate tokens at the end of a sequence."""
        held = self.sequences.setdefault(seq_id, [])
        assert not held or self.reaches(seq_id, len(held))
        held += [CountedCell(token) for token in tokens]
        if self._total is not None and self.used > self._total:
            assert not self.is_strict, "more cells than there are"
            del held[len(held) - len(tokens) :]
            raise NoRoomError("no cells are left")

    def forget(self, seq_id: int, start: int = 0) -> bool:
        """Cut the memory, or refuse to cut it in the middle, as recurrent models do."""
        held = self.sequences.get(seq_id, [])
        if 0 < start < len(held) and not self._can_cut:
            return False
        if start == 0:
            self.sequences.pop(seq_id, None)
            self._begins.pop(seq_id, None)
        del held[start:]
        return True

    def share(self, source: int, target: int, length: int) -> None:
        """The same cells for another sequence, which must hold none."""
        assert self._can_cut
        assert target not in self.sequences
        assert self.reaches(source, length)
        self.sequences[target] = self.sequences[source][:length]
        self._begins[target] = self._begins.get(source, 0)

    def reaches(self, seq_id: int, length: int) -> bool:
        """Whether the window before that length is there."""
        held, begin = len(self.sequences.get(seq_id, [])), self._begins.get(seq_id, 0)
        return 0 < length <= held and (length == held or begin <= max(0, length - self.window))

    def state_size(self, seq_id: int) -> int:
        """Four bytes a token."""
        return 4 * len(self.sequences.get(seq_id, []))

    def save(self, seq_id: int, target: memoryview) -> bool:
        """The tokens are the state."""
        target[:] = b"".join(struct.pack("<i", token) for token in self.tokens(seq_id))
        return True

    def restore(self, seq_id: int, source: memoryview) -> bool:
        """Take the tokens back; of a sliding window only those in it."""
        assert seq_id not in self.sequences
        if not self.restores:
            return False
        tokens = list(struct.unpack(f"<{len(source) // 4}i", source))
        self._begins[seq_id] = max(0, len(tokens) - self.window) if self.window else 0
        self.append(seq_id, tokens)
        return True


class CountingCompute:
    """Implements `switch.worker.compute.Compute`. `gate` holds back each batch after the first
    `free_batches` until the test lets it go; `entered` says that one is held."""

    def __init__(self, *, can_cut: bool = True, memory: CountingMemory | None = None) -> None:
        self.memory = memory or CountingMemory(can_cut=can_cut)
        self.next: Callable[[list[int]], int] = len
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
            held = self.memory.tokens(part.seq_id)
            assert start == len(held), "positions must follow what the memory holds"
            assert len(values) == part.size
            self.memory.append(part.seq_id, values[: len(values) // 2] if self._aborted.is_set() else values)
        if self._aborted.is_set():
            raise AbortedError("aborted")
        self._rows = [self.next(self.memory.tokens(part.seq_id)) for part in slices]
        return [row if part.last else -1 for row, part in enumerate(slices)]

    def _hold(self) -> None:
        self.entered.set()
        while not (self.gate.wait(0.002) or self._aborted.is_set()):
            pass

    def draw(self, sampler: CountingSampler, row: int) -> int:
        """What follows what the sequence of the row holds: the number of its tokens, unless the test says otherwise."""
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

    def abort(self, wanted: bool) -> None:
        """Set or clear the flag."""
        if wanted:
            self._aborted.set()
        else:
            self._aborted.clear()
