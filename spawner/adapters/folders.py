"""Where daughters work and what they said: the folder of spawner, one subfolder a job.

jobs/spawn-0123abcd/1/work      the folder of the first attempt, empty at its start
jobs/spawn-0123abcd/1/output    what it said (`spawner/output.py`)
workspaces/<user>/<name>        folders of users that outlive jobs
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PRIVATE: Final = 0o700
_LEAST: Final = 1024  # bytes that a name takes, if there is nothing in it
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Unused:
    """A workspace, and when it was last used, in seconds of the epoch."""

    user: str
    name: str
    size_mb: float
    used_at: float


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
        """A folder of a user's own."""
        return _made(self.root / "workspaces" / owner_of(user) / name)

    def used(self, user: str, name: str, moment: float) -> None:
        """Note that a workspace is used, and whose it is: beside it, where no daughter writes."""
        marker = _marker(self.workspace(user, name))
        marker.write_text(user)
        os.utime(marker, (moment, moment))

    def unused_since(self, moment: float) -> list[Unused]:
        """Workspaces that no try has worked in since, the longest unused first."""
        found = []
        for owner, name, size_mb in self.workspaces():
            marker = _marker(self.root / "workspaces" / owner / name)
            with contextlib.suppress(FileNotFoundError):  # each try notes its use before anything else
                if (used_at := marker.stat().st_mtime) < moment:
                    found.append(Unused(marker.read_text(), name, size_mb, used_at))
        return sorted(found, key=lambda one: one.used_at)

    def drop_workspace(self, user: str, name: str) -> None:
        """Remove a workspace."""
        place = self.root / "workspaces" / owner_of(user) / name
        _remove(place)
        _marker(place).unlink(missing_ok=True)

    def workspaces(self) -> list[tuple[str, str, float]]:
        """All workspaces: the owner's digest, the name, MiB."""
        places = sorted((self.root / "workspaces").glob("*/*"))
        return [(path.parent.name, path.name, self.size_mb(path)) for path in places if path.is_dir()]

    def jobs(self) -> list[str]:
        """The jobs that have a folder."""
        place = self.root / "jobs"
        return sorted(path.name for path in place.iterdir()) if place.is_dir() else []

    def forget(self, spawn_id: str) -> None:
        """Remove all that a job left. What cannot be removed now is tried again next time."""
        _remove(self.of_job(spawn_id))

    def drop_work(self, spawn_id: str) -> None:
        """Remove what the tries of a job made, and keep what they said."""
        for place in self.of_job(spawn_id).glob("*/work"):
            _remove(place)

    def sweep(self) -> None:
        """Remove what a spawner that was killed could not: copies of dry runs, and folders of its trials at start.
        No workspace may be called so."""
        for pattern in ("workspaces/*/.*.dry-*", "jobs/*/*/.*.dry-*", "vx11-trial-*"):
            for place in self.root.glob(pattern):
                _remove(place)

    def size_mb(self, place: Path) -> float:
        """What a folder takes of the disk, MiB; each name in it counts for something."""
        return sum(max(found.st_blocks * 512, _LEAST) for found in _all_in(place)) / _MIB

    def free_mb(self) -> float:
        """What is free on the disk, MiB."""
        there = next(place for place in (self.root, *self.root.parents) if place.exists())
        return shutil.disk_usage(there).free / _MIB

    def of_job(self, spawn_id: str) -> Path:
        """All that a job has."""
        return self.root / "jobs" / spawn_id

    def of_attempt(self, spawn_id: str, number: int) -> Path:
        """All that an attempt has: its folder and its output."""
        return self.of_job(spawn_id) / str(number)


def _made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True, mode=_PRIVATE)
    return path


def _marker(workspace: Path) -> Path:
    return workspace.with_name(f".{workspace.name}.used")


def owner_of(user: str) -> str:
    """What a user's folder is called: users may be called anything, so it is a digest."""
    return hashlib.sha256(user.encode()).hexdigest()[:16]


def _all_in(place: Path) -> Iterator[os.stat_result]:
    """What is below a folder. A daughter may have closed one of hers to hide what is in it: it is opened again."""
    for folder, folders, files in os.walk(place, followlinks=False):
        for name in (*folders, *files):
            with contextlib.suppress(OSError):  # it may go while we look
                path = Path(folder, name)
                found = path.lstat()
                if stat.S_ISDIR(found.st_mode) and stat.S_IMODE(found.st_mode) & _PRIVATE != _PRIVATE:
                    path.chmod(stat.S_IMODE(found.st_mode) | _PRIVATE)
                yield found


def _remove(place: Path) -> None:
    for _ in _all_in(place):  # opens what was closed
        pass
    shutil.rmtree(place, ignore_errors=True)
