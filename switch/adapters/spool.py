"""Files that hold what is not in the database yet. A written line outlives its process: the kernel has it."""

from __future__ import annotations

import logging
import os
from pathlib import Path

_log = logging.getLogger(__name__)


class Spool:
    """Lines in a folder, a file for each batch. Appending takes some ten microseconds and never waits for the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: int | None = None
        self._path: Path | None = None
        self._number = 0

    def append(self, line: bytes) -> None:
        """Add a line to the batch. Where it cannot be written (a full disk), it is only in memory, and that is said."""
        try:
            os.write(self._open(), line)
        except OSError as error:
            _log.error("rows of a finished request are in memory alone for now: %s", error.strerror)

    def seal(self) -> Path | None:
        """End the batch; the file that holds it, None if it is empty."""
        path = self._path
        self.close()
        return path

    def left(self) -> list[Path]:
        """The batches an earlier life left, in their order."""
        return sorted(self._folder.glob("*.rows"))

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
        self._file = self._path = None

    def _open(self) -> int:
        if self._file is None:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._number += 1
            path = self._folder / f"{self._number:012}.rows"
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._path = path
        return self._file
