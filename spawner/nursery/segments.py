"""What a daughter says, kept in a folder of files: the beginning for ever, of the rest the latest.

Each file is named for the offset of its first byte in all that was said; the first holds the head, the others are parts
of the tail and go, oldest first, as new ones come. So whoever reads knows what is missing, and may read at any moment
(`spawner/adapters/sayings.py`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_TAIL_PARTS: Final = 4


class Segments:
    """Writes. Half of `cap` bytes is the head's, the other half the tail's; `total` counts all that was said."""

    def __init__(self, folder: Path, cap: int) -> None:
        self.total = 0
        self.dropped = 0
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._sizes = {"head": max(1, cap // 2), "tail": max(1, cap // 2 // _TAIL_PARTS)}
        self._tail: list[tuple[Path, int]] = []
        self._file, self._room = self._open("head")

    def write(self, data: bytes) -> None:
        """Keep `data`, and let go of what it displaces."""
        left = memoryview(data)
        while left:
            if not self._room:
                self._turn()
            piece = left[: self._room]
            os.write(self._file, piece)
            self.total += len(piece)
            self._room -= len(piece)
            left = left[len(piece) :]

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def _turn(self) -> None:
        os.close(self._file)
        self._tail.append((self._path(), self._sizes["tail"]))
        if len(self._tail) > _TAIL_PARTS:
            oldest, size = self._tail.pop(0)
            oldest.unlink(missing_ok=True)
            self.dropped += size
        self._file, self._room = self._open("tail")

    def _open(self, part: str) -> tuple[int, int]:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(self._path(), flags, 0o600), self._sizes[part]

    def _path(self) -> Path:
        return self._folder / f"{self.total:016d}"
