"""The memory of a llama.cpp context: sequences shared, cut, written out and read back.

Sliding-window layers (Gemma 3) look at the last `window` positions only, and llama.cpp leaves the rest out of a
saved state and may overwrite it in memory, so a sequence can be continued only where the window before it is
still there; `reaches` tells.
"""

from __future__ import annotations

import ctypes
from typing import Any

from switch.worker.binding import lib


class ContextMemory:
    """Implements `switch.worker.compute.Memory`; belongs to the thread of its context."""

    def __init__(self, context: Any, *, window: int) -> None:
        self.window = window
        self._context = context
        self._memory = lib.llama_get_memory(context)

    def forget(self, seq_id: int, start: int = 0) -> bool:
        """Drop the sequence from position `start` on; False when this kind of memory can only drop it whole."""
        return bool(lib.llama_memory_seq_rm(self._memory, seq_id, start, -1))

    def share(self, source: int, target: int, length: int) -> None:
        """The empty sequence `target` begins like `source`, in the same cells."""
        lib.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def reaches(self, seq_id: int, length: int) -> bool:
        """Whether the sequence can be continued after its first `length` tokens."""
        first = lib.llama_memory_seq_pos_min(self._memory, seq_id)
        last = lib.llama_memory_seq_pos_max(self._memory, seq_id)
        needed = max(0, length - self.window) if self.window else 0
        return bool(0 <= first <= needed and length <= last + 1)

    def state_size(self, seq_id: int) -> int:
        """Bytes that `save` needs."""
        return int(lib.llama_state_seq_get_size(self._context, seq_id))

    def save(self, seq_id: int, target: memoryview) -> bool:
        """Write the state of the sequence over `target`, exactly; False when llama.cpp did not."""
        size = len(target)
        return int(lib.llama_state_seq_get_data(self._context, _bytes(target), size, seq_id)) == size

    def restore(self, seq_id: int, source: memoryview) -> bool:
        """Make the empty sequence what was saved; False, and empty still, when llama.cpp does not take it."""
        size = len(source)
        if int(lib.llama_state_seq_set_data(self._context, _bytes(source), size, seq_id)) == size:
            return True
        self.forget(seq_id)
        return False


def _bytes(view: memoryview) -> Any:
    """The memory behind a writable view, as C takes it."""
    return (ctypes.c_uint8 * len(view)).from_buffer(view)
