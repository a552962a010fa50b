"""A file while it arrives: appended, hashed as it is written, brought to the disk before anyone relies on it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from hermes.adapters.weather import disk_weather

READ_BYTES: Final = 1 << 20
Report = Callable[[int], None]


def _silent(_done: int) -> None:
    """Nobody listens."""


class Receiver:
    """Writes `path` from where it ends; every method blocks and belongs into a thread."""

    def __init__(self, path: Path) -> None:
        with disk_weather():
            self._file = open(path, "a+b", buffering=0)  # noqa: SIM115  # the receiver is the context manager
        self._hash = hashlib.sha256()
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def take_over(self, report: Report = _silent) -> int:
        """Hash what is there already, so that writing can go on after it; its size."""
        self._file.seek(0)
        self._hash, self.size = hashlib.sha256(), 0
        while block := self._file.read(READ_BYTES):
            self._hash.update(block)
            self.size += len(block)
            report(self.size)
        return self.size

    def restart(self) -> None:
        """Forget what was there."""
        self._file.truncate(0)
        self._hash, self.size = hashlib.sha256(), 0

    def write(self, chunk: bytes) -> None:
        """Append `chunk`; DiskFull where it does not fit."""
        left = memoryview(chunk)
        with disk_weather():
            while left:
                left = left[self._file.write(left) :]
        self._hash.update(chunk)
        self.size += len(chunk)

    def finish(self) -> str:
        """Bring everything to the disk; the SHA-256 of the whole file."""
        with disk_weather():
            os.fsync(self._file.fileno())
        return self._hash.hexdigest()


def sha256_of_file(path: Path, report: Report = _silent) -> str:
    """The SHA-256 of a file on disk."""
    digest, done = hashlib.sha256(), 0
    with open(path, "rb", buffering=0) as file:
        while block := file.read(READ_BYTES):
            digest.update(block)
            done += len(block)
            report(done)
    return digest.hexdigest()
