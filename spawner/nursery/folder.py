"""A daughter's folder: what it holds, looked at while she works in it, and left so that it can be walked and removed.

She may hide what is in it from those who count: a folder that its owner may not read, a path longer than the kernel
takes, more levels than a walk bears. While she runs that counts as a breach; afterwards it is mended.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_DEEPEST: Final = 100
_BLOCK: Final = 512  # what st_blocks counts in, whatever the filesystem's own are
_RM: Final = "/bin/rm"


@dataclass(frozen=True, slots=True)
class Held:
    """Files and folders in it, what they take on the disk, and whether all of it could be seen."""

    files: int
    size_bytes: int
    whole: bool = True


def held(folder: str, most: int, *, mend: bool = False) -> Held:
    """What a folder holds, counted no further than one more than `most`; links are not followed. `mend` opens what its
    owner may not read."""
    files = size = 0
    rest = [(folder, 0)]
    while rest and files <= most:
        place, depth = rest.pop()
        entries = _entries(place, mend)
        if entries is None or depth > _DEEPEST:
            return Held(files, size, whole=False)
        for entry in entries:
            files += 1
            with suppress(FileNotFoundError):
                size += entry.stat(follow_symlinks=False).st_blocks * _BLOCK
                if entry.is_dir(follow_symlinks=False):
                    rest.append((entry.path, depth + 1))
    return Held(files, size)


def give(folder: Path, user: int) -> None:
    """Make all of it a user's. Nothing of hers runs now, and links are not followed."""
    os.chown(folder, user, user, follow_symlinks=False)
    for _, folders, files, opened in os.fwalk(folder, follow_symlinks=False):
        for name in (*folders, *files):
            os.chown(name, user, user, dir_fd=opened, follow_symlinks=False)


def mended(folder: str) -> bool:
    """Leave a folder that can be walked, nothing of hers running any more; False where that meant to empty it."""
    if held(folder, 1 << 30, mend=True).whole:
        return True
    names = [entry.path for entry in os.scandir(folder)]
    os.waitpid(os.posix_spawn(_RM, [_RM, "-rf", "--", *names], {}), 0)
    return False


def _entries(place: str, mend: bool) -> list[os.DirEntry[str]] | None:
    """None where it cannot be read."""
    for _ in range(1 + mend):
        try:
            with os.scandir(place) as entries:
                return list(entries)
        except (FileNotFoundError, NotADirectoryError):  # it has just gone
            return []
        except OSError:
            if mend:
                with suppress(OSError):
                    os.chmod(place, 0o700)
    return None
