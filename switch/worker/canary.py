"""The first decode: proves that this build of llama.cpp works with this model on this machine.

A native build can die at its first decode (SIGSEGV in AMX code that the compiler broke, SIGILL on an older
processor), or compute nonsense. Better here, before anybody's request; the parent sees the exit.

The first time two turns follow: what comes after a beginning that is shared, cut or restored must be what came after
reading it. Where it is not, as in recurrent models, that is no failure; it is just not done with this model.
"""

from __future__ import annotations

import math
import mmap
import time
from dataclasses import dataclass

from switch.worker.batch import Slice
from switch.worker.compute import LibraryError
from switch.worker.drawing import Sampler
from switch.worker.library import Context, Model
from switch.worker.sampling import Sampling

PROMPT = "The quick brown fox jumps over the lazy"
LENGTH = 4


class CanaryError(Exception):
    """The model computed, but not numbers."""


@dataclass(frozen=True, slots=True)
class Report:
    """The likeliest continuation of `PROMPT` (two builds can be compared by it) and how long all of it took.

    `shares`: a sequence may begin with the cells of another, and be cut. `restores`: a saved state can be continued.
    """

    tokens: list[int]
    text: str
    milliseconds: float
    shares: bool = False
    restores: bool = False


class Canary:
    """Sings greedily on sequence 0; where asked to, the second turn on sequence 1, and on 0 again."""

    def __init__(self, model: Model, context: Context, *, threads: int) -> None:
        self._model = model
        self._context = context
        self._threads = threads
        self._prompt = model.tokenize(PROMPT)

    def sing(self, *, share: bool = False, restore: bool = False, length: int = LENGTH) -> Report:
        """Decode `length` tokens and forget them; raises CanaryError, LibraryError."""
        started = time.monotonic()
        if not self._prompt:
            raise CanaryError("the vocabulary turns a plain sentence into no tokens")
        sampler = self._context.sampler(Sampling(temperature=0))
        try:
            drawn = self._turn(sampler, 0, self._prompt, 0, length)
            shares = share and self._shares(sampler, drawn)
            restores = restore and self._restores(sampler, drawn)
            self._forget(0)
        finally:
            sampler.close()
        text = b"".join(self._model.piece(token) for token in drawn).decode("utf-8", "replace")
        return Report(drawn, text, (time.monotonic() - started) * 1000, shares, restores)

    def _turn(self, sampler: Sampler, seq_id: int, pending: list[int], past: int, length: int) -> list[int]:
        """Draw `length` tokens after `pending`, which follows what the sequence holds."""
        drawn: list[int] = []
        while True:
            part = Slice(seq_id, len(pending), True)
            [row] = self._context.decode([part], [(pending, past)], threads=self._threads)
            if past == 0:
                _check(self._context.logits(row))
            past += len(pending)
            pending = [self._context.draw(sampler, row)]
            drawn += pending
            if len(drawn) == length:
                return drawn

    def _shares(self, sampler: Sampler, expected: list[int]) -> bool:
        """Whether sequence 1 goes on from a beginning of sequence 0 as that did, and can be cut back to it."""
        memory, past = self._context.memory, len(self._prompt) - 1
        if past < 1 or not memory.reaches(0, past):
            return False
        memory.share(0, 1, past)
        try:
            again = self._turn(sampler, 1, self._prompt[past:], past, 1)
            return again == expected[:1] and memory.forget(1, past) and memory.reaches(1, past)
        except LibraryError:
            return False
        finally:
            self._forget(1)

    def _restores(self, sampler: Sampler, drawn: list[int]) -> bool:
        """Whether sequence 0 goes on from its saved state as it does without."""
        memory, past = self._context.memory, len(self._prompt) + len(drawn) - 1
        try:
            with mmap.mmap(-1, memory.state_size(0)) as data, memoryview(data) as view:
                saved = memory.save(0, view)
                expected = self._turn(sampler, 0, drawn[-1:], past, 1)
                self._forget(0)
                restored = saved and memory.restore(0, view) and memory.reaches(0, past)
            return restored and self._turn(sampler, 0, drawn[-1:], past, 1) == expected
        except LibraryError:
            return False

    def _forget(self, seq_id: int) -> None:
        if not self._context.memory.forget(seq_id):
            raise LibraryError("the memory of the context cannot forget a sequence")


def _check(logits: list[float]) -> None:
    if not all(map(math.isfinite, logits)):
        raise CanaryError("the first decode gave infinite or undefined numbers")
    if min(logits) == max(logits):
        raise CanaryError("the first decode found every token equally likely")
