"""A file of the user's own that may change while hermes runs: read again on change, the last good one kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

T = TypeVar("T")
MAX_BYTES: Final = 4 << 20


class OwnFile(Generic[T]):
    """What a file holds, as `parse` (ValueError for nonsense) reads it; `empty` without one.

    `problem` says why the file as it is now does not count; None while all is well.
    """

    def __init__(self, path: Path | None, parse: Callable[[str], T], empty: T) -> None:
        self._path = path
        self._parse = parse
        self._seen: tuple[int, ...] | None = None
        self.value = empty
        self.problem: str | None = None

    @property
    def is_watched(self) -> bool:
        """Whether there is a file to look at."""
        return self._path is not None

    def reread(self) -> bool:
        """Look at the file; whether the value or the problem is another now. Blocks."""
        if self._path is None:
            return False
        before = (self.value, self.problem)
        self._look(self._path)
        return before[0] is not self.value or before[1] != self.problem

    def _look(self, path: Path) -> None:
        try:
            with open(path, "rb") as file:
                found = os.fstat(file.fileno())
                seen = (found.st_ino, found.st_size, found.st_mtime_ns)
                if seen == self._seen:
                    return
                raw = file.read(MAX_BYTES + 1)
        except OSError as error:
            self._seen, self.problem = None, f"{path.name} cannot be read: {error.strerror}"
            return
        self._seen = seen
        try:
            if len(raw) > MAX_BYTES:
                raise ValueError(f"it is larger than {MAX_BYTES} bytes")
            self.value, self.problem = self._parse(raw.decode("utf-8")), None
        except (ValueError, RecursionError) as error:
            self.problem = f"{path.name} is not used: {str(error)[:500]}"
