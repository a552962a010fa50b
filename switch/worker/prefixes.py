"""The memory of prompts: where a new request begins, because somebody has read its beginning already.

A sequence that ends stays in the KV memory, kept under its id, until the id or its cells are wanted; what leaves
goes to the `Archive`. A new prompt looks for its longest beginning among the sequences that run, those that are kept
and those in the archive. It takes over a kept sequence that it continues, shares the cells of one it parts from, or
has a saved one restored. At least its last token is evaluated, since somebody must give the logits.

Kept cells are not free of charge: attention passes over them in every step (SmolLM2: 1 ms a thousand, of 14). So only
`kept_tokens` stay while others run; saving a thousand tokens takes 3 ms, once.

A saved state of a model with sliding windows cannot be cut (`memory`), so it is saved as it was before the last
token of its prompt: there the next turn and another try both pass. What is kept in KV memory can be cut anywhere, so
with such models it stays until cells are needed.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection
from functools import partial
from typing import NamedTuple

from switch.worker.archive import Archive, Found
from switch.worker.cells import Cells
from switch.worker.compute import Memory
from switch.worker.radix import RadixTree
from switch.worker.spec import WorkerSpec


class Place(NamedTuple):
    """A sequence id whose first `start` tokens are in memory already."""

    seq_id: int
    start: int


class Await(NamedTuple):
    """Another request is evaluating the same beginning just now: better to wait until it has `length` tokens."""

    seq_id: int
    length: int


class _Kept(NamedTuple):
    """What a kept sequence holds, and how many tokens its prompt had."""

    tokens: list[int]
    prompt: int


class _Source(NamedTuple):
    """A sequence in the KV memory that begins like a prompt for `length` tokens."""

    length: int
    seq_id: int


class Prefixes:
    """Sequence ids, cells and what they remember. For the engine's thread only."""

    def __init__(self, memory: Memory, spec: WorkerSpec, archive: Archive | None = None) -> None:
        self.cells = Cells(spec.total_kv_tokens)
        self.hits = 0
        self.reused_tokens = 0
        self._memory = memory
        self._spec = spec
        self._archive = archive
        self._free = list(range(spec.n_seq_max + spec.n_kept))
        self._spare_id = self._free.pop() if memory.window and spec.n_kept else -1
        self._kept: dict[int, _Kept] = {}  # the one used longest ago first
        self._unsaved: dict[int, None] = {}
        self._tree: RadixTree[int] = RadixTree()

    @property
    def kept(self) -> int:
        """Sequences that are kept in KV memory."""
        return len(self._kept)

    def place(self, tokens: list[int], *, running: Collection[int], coming: int, reuse: bool) -> Place | Await | None:
        """An id for a request of `tokens`; None while there are too few cells for it and those that run.

        `coming` is how many cells all of them, this one included, will want soon beyond what they hold.
        """
        source = self._source(tokens) if reuse else None
        found = self._found(tokens, source.length if source else 0) if reuse else None
        awaited = self._awaited(tokens, running, found or source) if reuse else None
        if awaited is not None:
            return awaited
        if not self._fits(running, coming, source):
            return None
        if found is not None and not self._fits(running, coming + found.held - found.length, None):
            found = None  # what would be cut off has no room either
        seq_id, start = self._begun(tokens, source, found)
        self._tree.insert(tokens, seq_id)
        self.hits += start > 0
        self.reused_tokens += start
        self._trim({*running, seq_id})
        return Place(seq_id, start)

    def grow(self, seq_id: int, count: int) -> None:
        """`count` more tokens of the sequence were evaluated."""
        self.cells.grow(seq_id, count)

    def make_room(self, count: int) -> bool:
        """Have `count` cells free, at the cost of kept sequences; False when even all of those are too few."""
        while self.cells.free < count:
            if not self._kept:
                return False
            self._let_go(next((one for one in self._kept if self.cells.alone(one)), next(iter(self._kept))))
        return True

    def take_back(self, seq_id: int) -> int:
        """After an aborted batch, have the memory hold what was evaluated before it; how many tokens that is now."""
        length = self.cells.length(seq_id)
        if self._memory.forget(seq_id, length) and (length == 0 or self._memory.reaches(seq_id, length)):
            return length
        self._memory.forget(seq_id)
        self.cells.cut(seq_id)
        return 0

    def release(self, seq_id: int, tokens: list[int], *, prompt: int, keep: bool) -> None:
        """A request ends that held the beginning of `tokens`, of which `prompt` it was given.

        With `keep`, what was evaluated is kept if that is worth it.
        """
        self._tree.remove(seq_id)
        held = tokens[: self.cells.length(seq_id)]
        if keep and len(held) >= self._spec.min_reuse:
            if not self._spec.n_kept and self._archive is not None:
                self._archive.keep(seq_id, held)
            elif self._spec.n_kept and not self._is_held(held):
                self._keep(seq_id, _Kept(held, prompt))
                return
        self._drop(seq_id)

    def put_back(self, seq_id: int, tokens: list[int]) -> None:
        """A request gives its cells up for a while; it will look for its tokens again."""
        self._tree.remove(seq_id)
        held = tokens[: self.cells.length(seq_id)]
        if self._archive is not None and len(held) >= self._spec.min_reuse:
            self._archive.keep(seq_id, held)
        self._drop(seq_id)

    def forget_kept(self) -> None:
        """Let all kept sequences go."""
        for seq_id in list(self._kept):
            self._let_go(seq_id)

    def save_one(self) -> bool:
        """Put one state on disk that is not there yet, or wait for the last one; False when there is nothing to do."""
        if self._archive is None or self._archive.is_writing:
            return self._archive is not None
        while self._unsaved:
            seq_id, _ = self._unsaved.popitem()
            if self._saved(self._archive.write, seq_id, self._kept[seq_id]):
                return True
        return self._archive.write_one_of_ram()

    def save_rest(self, seconds: float) -> None:
        """The worker ends: put on disk what is not there yet, the latest first, while there is time."""
        archive = self._archive
        if archive is not None:
            latest = list(reversed(self._kept.items()))
            archive.finish([partial(self._saved, archive.write, *one) for one in latest], seconds)

    def counts(self) -> dict[str, int]:
        """What is remembered where, and of what use it was, for `/health`."""
        archive = self._archive
        return {
            "hits": self.hits,
            "reused_tokens": self.reused_tokens,
            "kept_sequences": len(self._kept),
            "kv_cells_used": self.cells.used,
            "restored_from_ram": archive.restored_ram if archive else 0,
            "restored_from_disk": archive.restored_disk if archive else 0,
            "ram_bytes": archive.ram_bytes if archive else 0,
            "disk_bytes": archive.disk_bytes if archive else 0,
        }

    def _fits(self, running: Collection[int], coming: int, source: _Source | None) -> bool:
        """Whether there would be cells enough if nothing were kept. Whoever runs alone always fits."""
        shared = source.length if source and source.seq_id in running else 0
        return not running or self.cells.held_by(running) + coming - shared <= self.cells.total

    def _source(self, tokens: list[int]) -> _Source | None:
        """The sequence in KV memory that holds the longest beginning of `tokens` and can be continued there."""
        if not self._spec.n_kept:
            return None
        best: _Source | None = None
        limit = len(tokens) - 1
        for length, seq_id in self._tree.matches(tokens):
            usable = min(length, limit, self.cells.length(seq_id))
            if min(length, limit) <= (best.length if best else self._spec.min_reuse - 1):
                break
            if usable > (best.length if best else self._spec.min_reuse - 1) and self._memory.reaches(seq_id, usable):
                best = _Source(usable, seq_id)
        return best

    def _found(self, tokens: list[int], in_kv: int) -> Found | None:
        """A saved state that is worth restoring, given how much the KV memory holds."""
        if self._archive is None:
            return None
        limit = len(tokens) - 1
        return self._archive.find(tokens, limit=limit, longer_than=in_kv + self._spec.min_reuse - 1)

    def _awaited(self, tokens: list[int], running: Collection[int], known: Found | _Source | None) -> Await | None:
        """Who is about to have evaluated half of what is left to evaluate, or more."""
        start, limit = known.length if known else 0, len(tokens) - 1
        if not self._spec.n_kept:
            return None
        worth = max(self._spec.min_reuse, (limit - start + 1) // 2)
        for length, seq_id in self._tree.matches(tokens):
            wanted = min(length, limit)
            if wanted - start < worth:
                return None
            if seq_id in running and self.cells.length(seq_id) < wanted:
                return Await(seq_id, wanted)
        return None

    def _begun(self, tokens: list[int], source: _Source | None, found: Found | None) -> Place:
        """An id that holds what there is of the beginning of `tokens`."""
        if found is not None:
            seq_id = self._taken_id(None)
            if self._restored(tokens, found, seq_id):
                return Place(seq_id, found.length)
            heapq.heappush(self._free, seq_id)
            source = self._source(tokens)
        if source is None:
            return Place(self._taken_id(None), 0)
        if source.seq_id in self._kept and (self._is_all(source) or self._is_last_resort(source)):
            return self._adopted(source)
        if source.seq_id in self._kept:
            self._touch(source.seq_id)
        seq_id = self._taken_id(source.seq_id)
        self._memory.share(source.seq_id, seq_id, source.length)
        self.cells.share(source.seq_id, seq_id, source.length)
        return Place(seq_id, source.length)

    def _is_all(self, source: _Source) -> bool:
        return source.length == self.cells.length(source.seq_id)

    def _is_last_resort(self, source: _Source) -> bool:
        """Whether its own id is the only one that could be given up for a copy of it."""
        return not self._free and len(self._kept) == 1

    def _adopted(self, source: _Source) -> Place:
        """The kept sequence runs on as the new one."""
        seq_id, length = source.seq_id, source.length
        del self._kept[seq_id]
        self._unsaved.pop(seq_id, None)
        self._memory.forget(seq_id, length)
        self.cells.cut(seq_id, length)
        return Place(seq_id, length)

    def _restored(self, tokens: list[int], found: Found, seq_id: int) -> bool:
        assert self._archive is not None
        if not self.make_room(found.held) or not self._archive.restore(found, tokens, seq_id):
            return False
        self.cells.grow(seq_id, found.length)
        return True

    def _taken_id(self, source: int | None) -> int:
        """A free id, at the cost of the kept sequence used longest ago; never that of `source`."""
        if not self._free:
            self._let_go(next(one for one in self._kept if one != source))
        return heapq.heappop(self._free)

    def _trim(self, running: set[int]) -> None:
        """Have no more than `kept_tokens` stand beside those that run, as far as the archive takes them."""
        if self._memory.window:
            return
        while self._kept and self.cells.used - self.cells.held_by(running) > self._spec.kept_tokens:
            if self._archive is None or not self._let_go(next(iter(self._kept)), only_if_saved=True):
                return

    def _keep(self, seq_id: int, kept: _Kept) -> None:
        for other in self._tree.covered(kept.tokens):
            if other in self._kept:
                self._forget_kept(other)
        self._kept[seq_id] = kept
        self._unsaved[seq_id] = None
        self._tree.insert(kept.tokens, seq_id)

    def _is_held(self, tokens: list[int]) -> bool:
        """Whether another sequence holds all of `tokens`, evaluated."""
        for length, seq_id in self._tree.matches(tokens):
            if length < len(tokens):
                return False
            if self._memory.reaches(seq_id, length):
                return True
        return False

    def _touch(self, seq_id: int) -> None:
        self._kept[seq_id] = self._kept.pop(seq_id)

    def _let_go(self, seq_id: int, *, only_if_saved: bool = False) -> bool:
        """A kept sequence leaves the KV memory for the archive; True unless it stays because it could not be saved."""
        saved = self._archive is not None and self._saved(self._archive.keep, seq_id, self._kept[seq_id])
        if saved or not only_if_saved:
            self._forget_kept(seq_id)
            return True
        return False

    def _saved(self, save: Callable[[int, list[int]], bool], seq_id: int, kept: _Kept) -> bool:
        """Whether `save` took a kept sequence, or what of it can be continued when it comes back."""
        length = min(kept.prompt - 1, len(kept.tokens))
        is_whole = not 0 < self._memory.window < len(kept.tokens)
        if is_whole or length < self._spec.min_reuse or not self._memory.reaches(seq_id, length):
            return save(seq_id, kept.tokens)
        self._memory.share(seq_id, self._spare_id, length)
        try:
            return save(self._spare_id, kept.tokens[:length])
        finally:
            self._memory.forget(self._spare_id)

    def _forget_kept(self, seq_id: int) -> None:
        del self._kept[seq_id]
        self._unsaved.pop(seq_id, None)
        self._tree.remove(seq_id)
        self._drop(seq_id)

    def _drop(self, seq_id: int) -> None:
        """Free the id and its cells."""
        self._memory.forget(seq_id)
        self.cells.cut(seq_id)
        heapq.heappush(self._free, seq_id)
