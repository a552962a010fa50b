"""The ledger of KV cells: which sequence holds how many, and which cells several sequences share. Pure.

llama.cpp's unified KV memory keeps one cell a token and marks it with every sequence that shares it
(`llama_memory_seq_cp`); it does not tell how many are free. This ledger counts the same from the same calls: each
sequence is a list of runs, a run is consecutive cells with the same owners. Growing costs the same however long the
sequence is; sharing and cutting are linear in the runs of one sequence.
"""

from __future__ import annotations

from collections.abc import Iterable


class _Run:
    """Consecutive cells with the same owners."""

    __slots__ = ("owners", "size")

    def __init__(self, size: int, owners: set[int]) -> None:
        self.size = size
        self.owners = owners


class Cells:
    """`total` cells, of which `used` are held by some sequence."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.used = 0
        self._runs: dict[int, list[_Run]] = {}
        self._lengths: dict[int, int] = {}

    @property
    def free(self) -> int:
        """Cells that nobody holds."""
        return self.total - self.used

    def length(self, seq_id: int) -> int:
        """Tokens of the sequence that are in the memory."""
        return self._lengths.get(seq_id, 0)

    def alone(self, seq_id: int) -> int:
        """Cells that would be free if this sequence went."""
        return sum(run.size for run in self._runs.get(seq_id, ()) if len(run.owners) == 1)

    def held_by(self, seq_ids: Iterable[int]) -> int:
        """Cells that these sequences hold together; a shared one counts once."""
        runs = {id(run): run.size for seq_id in seq_ids for run in self._runs.get(seq_id, ())}
        return sum(runs.values())

    def grow(self, seq_id: int, count: int) -> None:
        """The sequence got `count` more tokens, in cells of its own."""
        runs = self._runs.setdefault(seq_id, [])
        if runs and len(runs[-1].owners) == 1:
            runs[-1].size += count
        else:
            runs.append(_Run(count, {seq_id}))
        self.used += count
        self._lengths[seq_id] = self._lengths.get(seq_id, 0) + count

    def share(self, source: int, target: int, length: int) -> None:
        """`target`, which holds nothing, holds the first `length` cells of `source` as well."""
        shared = self._runs[source][: self._border(source, length)]
        for run in shared:
            run.owners.add(target)
        self._runs[target] = list(shared)
        self._lengths[target] = length

    def cut(self, seq_id: int, length: int = 0) -> None:
        """The sequence keeps its first `length` tokens only."""
        if length >= self.length(seq_id):
            return
        runs, border = self._runs[seq_id], self._border(seq_id, length)
        for run in runs[border:]:
            run.owners.discard(seq_id)
            if not run.owners:
                self.used -= run.size
        if length:
            del runs[border:]
            self._lengths[seq_id] = length
        else:
            del self._runs[seq_id], self._lengths[seq_id]

    def _border(self, seq_id: int, length: int) -> int:
        """How many runs of the sequence make up its first `length` cells; a run that lies across is split."""
        at = 0
        for index, run in enumerate(self._runs[seq_id]):
            if at == length:
                return index
            if at + run.size > length:
                self._split(run, length - at)
                return index + 1
            at += run.size
        return len(self._runs[seq_id])

    def _split(self, run: _Run, at: int) -> None:
        """Make two runs of one, for each of its owners."""
        rest = _Run(run.size - at, set(run.owners))
        run.size = at
        for owner in run.owners:
            runs = self._runs[owner]
            runs.insert(runs.index(run) + 1, rest)
