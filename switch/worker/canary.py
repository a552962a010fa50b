"""The first decode: proves that this build of llama.cpp works with this model on this machine.

A native build can die at its first decode (SIGSEGV in AMX code that the compiler broke, SIGILL on an older
processor), or compute nonsense. Better here, before anybody's request; the parent sees the exit.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from switch.worker.batch import Slice
from switch.worker.compute import LibraryError
from switch.worker.library import Context, Model
from switch.worker.sampling import Sampling

PROMPT = "The quick brown fox jumps over the lazy"
LENGTH = 4


class CanaryError(Exception):
    """The model computed, but not numbers."""


@dataclass(frozen=True, slots=True)
class Report:
    """The likeliest continuation of `PROMPT` (two builds can be compared by it) and how long it took."""

    tokens: list[int]
    text: str
    milliseconds: float


def sing(model: Model, context: Context, *, threads: int) -> Report:
    """Decode a few tokens greedily on sequence 0 and forget them; raises CanaryError, LibraryError."""
    started = time.monotonic()
    sampler = context.sampler(Sampling(temperature=0))
    pending, past, drawn = model.tokenize(PROMPT), 0, []
    if not pending:
        raise CanaryError("the vocabulary turns a plain sentence into no tokens")
    for _ in range(LENGTH):
        [row] = context.decode([Slice(0, len(pending), True)], [(pending, past)], threads=threads)
        if past == 0:
            _check(context.logits(row))
        past += len(pending)
        pending = [context.draw(sampler, row)]
        drawn += pending
    sampler.close()
    if not context.forget(0):
        raise LibraryError("the memory of the context cannot forget a sequence")
    text = b"".join(model.piece(token) for token in drawn).decode("utf-8", "replace")
    return Report(tokens=drawn, text=text, milliseconds=(time.monotonic() - started) * 1000)


def _check(logits: list[float]) -> None:
    if not all(map(math.isfinite, logits)):
        raise CanaryError("the first decode gave infinite or undefined numbers")
    if min(logits) == max(logits):
        raise CanaryError("the first decode found every token equally likely")
