"""States that left the KV memory: found again, brought back, and put on disk behind everybody's back.

RAM first (`states`), disk beneath (`state_files`). Everything here runs on the engine's thread but the slow end
of a write (digest, fsync), which a thread of its own does, one file at a time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import chain
from typing import NamedTuple

from switch.worker.compute import Memory
from switch.worker.state_files import Draft, StateFiles
from switch.worker.states import State, States

_log = logging.getLogger(__name__)


class Found(NamedTuple):
    """A saved state that begins like a prompt for `length` tokens; it holds `held` tokens. `where` has it."""

    length: int
    held: int
    where: State | str


class Archive:
    """Saved states of one model. `shortest` is the least tokens worth a file; `cuts` whether a state may be cut."""

    def __init__(self, memory: Memory, *, ram_bytes: int, files: StateFiles | None, shortest: int, cuts: bool) -> None:
        self.restored_ram = self.restored_disk = 0
        self._memory = memory
        self._states = States(ram_bytes, self._on_drop)
        self._files = files
        self._shortest = shortest
        self._cuts = cuts
        self._is_ending = False
        self._writing: tuple[threading.Thread, Draft, list[OSError]] | None = None

    @property
    def ram_bytes(self) -> int:
        """Bytes of states in RAM."""
        return self._states.used

    @property
    def disk_bytes(self) -> int:
        """Bytes of the files of all models, when last counted."""
        return self._files.used if self._files else 0

    def find(self, tokens: list[int], *, limit: int, longer_than: int) -> Found | None:
        """The state with the longest beginning of `tokens`, counted up to `limit`; RAM before disk where equal."""
        self._collect()
        found = None
        for length, state in self._states.matches(tokens):
            if self._is_usable(length, limit, len(state.tokens)):
                found = Found(min(length, limit), len(state.tokens), state)
                self._states.touch(state)  # the room for it must not be made at its cost
                break
        for length, name in self._files.matches(tokens) if self._files else ():
            if min(length, limit) <= max(longer_than, found.length if found else 0):
                break
            held = self._files.held(name) if self._files else 0
            if self._is_usable(length, limit, held):
                return Found(min(length, limit), held, name)
        return found if found and found.length > longer_than else None

    def restore(self, found: Found, tokens: list[int], seq_id: int) -> bool:
        """Make the empty sequence what was saved, cut to what was found of `tokens`; False, and empty still, if not."""
        beginning = tokens[: found.length]
        if isinstance(found.where, State):
            restored = self._restored_from_ram(found.where, beginning, seq_id)
            self.restored_ram += restored
        else:
            restored = self._restored_from_disk(found.where, beginning, seq_id)
            self.restored_disk += restored
        if restored and self._memory.forget(seq_id, found.length) and self._memory.reaches(seq_id, found.length):
            return True
        self._memory.forget(seq_id)
        return False

    def keep(self, seq_id: int, tokens: list[int]) -> bool:
        """Save a sequence that is about to leave the KV memory; True when it can be found again."""
        if any(len(state.tokens) == length == len(tokens) for length, state in self._states.matches(tokens)):
            return True
        size = self._memory.state_size(seq_id)
        if self._states.add(tokens, size, lambda view: self._memory.save(seq_id, view)):
            return True
        return self._is_on_disk(tokens) or self.write(seq_id, tokens)

    @property
    def is_writing(self) -> bool:
        """Whether a file is on its way."""
        self._collect()
        return self._writing is not None

    def write(self, seq_id: int, tokens: list[int]) -> bool:
        """Begin to put a sequence on disk, unless it is there or another one is being written."""
        size = self._memory.state_size(seq_id)
        return self._begin(tokens, size, lambda view: self._memory.save(seq_id, view))

    def write_one_of_ram(self) -> bool:
        """Begin to put a state on disk that is in RAM only; False when there is none, or another is being written."""
        return any(self._begin_with(state) for state in self._states)

    def finish(self, left: Iterable[Callable[[], object]], seconds: float) -> None:
        """The worker ends: put on disk what is not there yet while there is time; what `left` writes comes first."""
        deadline, self._is_ending = time.monotonic() + seconds, True
        in_ram: list[Callable[[], object]] = [partial(self._begin_with, state) for state in self._states]
        for begin in chain(left, reversed(in_ram)):
            self._join(deadline)
            if time.monotonic() >= deadline:
                return
            begin()
        self._join(deadline)

    def _is_usable(self, length: int, limit: int, held: int) -> bool:
        """A state that cannot be cut, or lost what a cut would need, is good for all of its tokens or for nothing."""
        is_whole_only = not self._cuts or 0 < self._memory.window < held
        return held <= min(length, limit) if is_whole_only else min(length, limit) > 0

    def _restored_from_ram(self, state: State, beginning: list[int], seq_id: int) -> bool:
        if state not in self._states:  # gone since, for a longer one
            return False
        with memoryview(state.data) as view:
            return state.tokens[: len(beginning)] == beginning and self._memory.restore(seq_id, view)

    def _restored_from_disk(self, name: str, beginning: list[int], seq_id: int) -> bool:
        assert self._files is not None
        with self._files.reading(name) as read:
            if read is None:
                return False
            tokens, view = read
            return tokens[: len(beginning)] == beginning and self._memory.restore(seq_id, view)

    def _is_on_disk(self, tokens: list[int]) -> bool:
        return self._files is not None and tokens in self._files

    def _on_drop(self, state: State) -> None:
        self._begin_with(state)

    def _begin_with(self, state: State) -> bool:
        def copy(view: memoryview) -> bool:
            with memoryview(state.data) as data:
                view[:] = data
            return True

        return self._begin(state.tokens, state.size, copy)

    def _begin(self, tokens: list[int], size: int, fill: Callable[[memoryview], bool]) -> bool:
        self._collect()
        if self._files is None or self._writing or len(tokens) < self._shortest or tokens in self._files:
            return False
        try:
            draft = self._files.draft(tokens, size)
        except OSError as error:
            _log.warning("a state is not kept on disk", extra={"reason": str(error)})
            return False
        if not fill(draft.state):
            draft.discard()
            return False
        self._start(draft, self._files)
        return True

    def _start(self, draft: Draft, files: StateFiles) -> None:
        errors: list[OSError] = []

        def write() -> None:
            try:
                draft.finish(durable=not self._is_ending)
                files.trim()
            except OSError as error:  # told by whoever collects it
                errors.append(error)

        thread = threading.Thread(target=write, name="state-writer", daemon=True)
        self._writing = (thread, draft, errors)
        thread.start()

    def _collect(self) -> None:
        """Take note of a write that has ended."""
        if self._writing is None or self._writing[0].is_alive() or self._files is None:
            return
        _, draft, errors = self._writing
        self._writing = None
        if errors:
            _log.warning("a state is not kept on disk", extra={"reason": str(errors[0])})
        else:
            self._files.arrived(draft)

    def _join(self, deadline: float) -> None:
        if self._writing is not None:
            self._writing[0].join(max(0.0, deadline - time.monotonic()))
        self._collect()
