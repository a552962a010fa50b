"""Where daughters work and what they said: the folder of spawner, one subfolder a job.

jobs/spawn-0123abcd/1/work      the folder of the first attempt, empty at its start
jobs/spawn-0123abcd/1/output    what it said (`spawner/output.py`)
workspaces/<user>/<name>        folders of users that outlive jobs
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Final

_PRIVATE: Final = 0o700


class Folders:
    """The folders below `root`; nothing is made before it is needed."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def work(self, spawn_id: str, number: int) -> Path:
        """A fresh folder for an attempt."""
        return _made(self.of_attempt(spawn_id, number) / "work")

    def output(self, spawn_id: str, number: int) -> Path:
        """Where the output of an attempt is, or will be."""
        return self.of_attempt(spawn_id, number) / "output"

    def workspace(self, user: str, name: str) -> Path:
        """A folder of a user's own. Users may be called anything, so their folder is called by a digest."""
        return _made(self.root / "workspaces" / hashlib.sha256(user.encode()).hexdigest()[:16] / name)

    def jobs(self) -> list[str]:
        """The jobs that have a folder."""
        place = self.root / "jobs"
        return sorted(path.name for path in place.iterdir()) if place.is_dir() else []

    def forget(self, spawn_id: str) -> None:
        """Remove all that a job left. What cannot be removed now is tried again next time."""
        shutil.rmtree(self.root / "jobs" / spawn_id, ignore_errors=True)

    def of_attempt(self, spawn_id: str, number: int) -> Path:
        """All that an attempt has: its folder and its output."""
        return self.root / "jobs" / spawn_id / str(number)


def _made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True, mode=_PRIVATE)
    return path
