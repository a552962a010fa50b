"""Where the sockets of worker processes lie: below data/, or in a short temporary folder where that is too deep."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from pathlib import Path

_LONGEST_PATH = 107  # bytes of a Unix socket's path, unix(7)
_LONGEST_NAME = len("/1234567890.sock")


class SocketFolder:
    """A folder for the sockets of one Switch; made when the first is wanted, without what a killed one left."""

    def __init__(self, runtime: Path) -> None:
        self._wanted = runtime.absolute() / "workers"
        self._folder: Path | None = None
        self._numbers = itertools.count(1)

    def fresh(self) -> str:
        """A path for another socket."""
        if self._folder is None:
            self._folder = self._made()
        return str(self._folder / f"{next(self._numbers)}.sock")

    def _made(self) -> Path:
        if len(os.fsencode(self._wanted)) + _LONGEST_NAME > _LONGEST_PATH:
            return Path(tempfile.mkdtemp(prefix="vx11-switch-"))
        shutil.rmtree(self._wanted, ignore_errors=True)
        self._wanted.mkdir(mode=0o700)
        return self._wanted

    def remove(self) -> None:
        """Remove the folder, if there is one."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
