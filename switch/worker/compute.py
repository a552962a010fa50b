"""What the engine needs of llama.cpp: the seam between scheduling and computing.

`library` has the real thing; tests have a small one that computes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from switch.worker.batch import Slice
from switch.worker.sampling import Sampling


class LibraryError(Exception):
    """llama.cpp refused; the message holds its own last words on it."""


class DecodeError(LibraryError):
    """A batch did not compute, and never will."""


class NoRoomError(DecodeError):
    """The memory has no cells for the batch; with fewer sequences it may."""


class GrammarError(LibraryError):
    """The grammar of one request leads nowhere, or takes too long."""


class AbortedError(LibraryError):
    """The batch was given up because `Compute.abort` was called; the memory holds some of it or none."""


class Draw(Protocol):
    """The sampler of one request."""

    def close(self) -> None:
        """Free it."""


class Memory(Protocol):
    """What sequences are remembered in; a sequence id that nobody uses holds nothing."""

    @property
    def window(self) -> int:
        """How far back the layers look that do not see everything; 0 where all do."""

    def forget(self, seq_id: int, start: int = 0) -> bool:
        """Drop a sequence from position `start` on; False when it can only be dropped whole."""

    def share(self, source: int, target: int, length: int) -> None:
        """The empty sequence `target` begins with the first `length` tokens of `source`, in the same cells."""

    def reaches(self, seq_id: int, length: int) -> bool:
        """Whether the sequence can be continued after its first `length` tokens."""

    def state_size(self, seq_id: int) -> int:
        """Bytes that `save` needs."""

    def save(self, seq_id: int, target: memoryview) -> bool:
        """Write the state of the sequence over `target`, exactly; False when that fails."""

    def restore(self, seq_id: int, source: memoryview) -> bool:
        """Make the empty sequence what was saved; False, and empty still, when that fails."""


D = TypeVar("D", bound=Draw)


class Compute(Protocol[D]):
    """What the engine needs of a context and its vocabulary."""

    @property
    def memory(self) -> Memory:
        """What its sequences are remembered in."""

    def sampler(self, sampling: Sampling) -> D:
        """A fresh sampler for one request."""

    def decode(
        self, slices: Sequence[Slice], tokens: Iterable[tuple[Sequence[int], int]], *, threads: int
    ) -> list[int]:
        """Evaluate a batch; a row for each slice, -1 where no logits were wanted. Raises AbortedError, DecodeError."""

    def draw(self, sampler: D, row: int) -> int:
        """The next token from the logits in `row`; raises GrammarError."""

    def chances(self, row: int, token: int, top: int) -> tuple[float, list[tuple[int, float]]]:
        """The probability of `token` by the logits in `row`, and the `top` likeliest tokens with theirs."""

    def piece(self, token: int) -> bytes:
        """The bytes a token adds to the answer."""

    def ends(self, token: int) -> bool:
        """Whether a token ends the answer."""

    def abort(self, wanted: bool) -> None:
        """Make the running batch give up, from any thread, or take that back."""
