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
_FROM_ABOVE: Final = 10  # levels between the place of all daughters and the folder of one, at most
_LONGEST: Final = 3500  # of a path, so that one more name still goes into PATH_MAX


@dataclass(frozen=True, slots=True)
class Held:
    """Files and folders in it, what they take on the disk, and whether all of it could be seen."""

    files: int
    size_bytes: int
    whole: bool = True


# Kept free for the fleet: its databases stop where the disk ends. More than two looks of a warden apart can be written.
RESERVE_MB: Final = 512


def free_mb(folder: str) -> float:
    """What the folder's disk has left; no end to it where the filesystem does not say, or the folder is gone."""
    try:
        about = os.statvfs(folder)
    except OSError:
        return float("inf")
    return about.f_bavail * about.f_frsize / (1 << 20) if about.f_blocks else float("inf")


def floor_mb(free: float) -> float:
    """How much of the `free` MiB of its disk a daughter that begins now leaves: what is reserved, or half where it
    has not twice as much. Holds for all that she takes, also where no account of hers shows it."""
    return min(RESERVE_MB, free / 2)


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
    if not os.listdir(folder):  # as most are
        return
    for _, folders, files, opened in os.fwalk(folder, follow_symlinks=False):
        for name in (*folders, *files):
            os.chown(name, user, user, dir_fd=opened, follow_symlinks=False)


def mended(folder: str) -> bool:
    """Leave a folder that can be walked, nothing of hers running any more; False where that meant to empty it."""
    if held(folder, 1 << 30, mend=True).whole:
        return True
    _remove([entry.path for entry in os.scandir(folder)])
    return False


def mend_left(place: Path) -> None:
    """The same for all that lies below, of daughters whose wardens did not come to it: what is too deep goes."""
    rest = [(str(place), 0)]
    while rest:
        here, depth = rest.pop()
        if depth > _DEEPEST + _FROM_ABOVE or len(os.fsencode(here)) > _LONGEST:
            _remove([here])
            continue
        entries = _entries(here, mend=True) or ()
        rest += [(entry.path, depth + 1) for entry in entries if entry.is_dir(follow_symlinks=False)]


def _remove(paths: list[str]) -> None:
    """By programs that go down by descriptors, so that no depth and no length stops them."""
    for argv in (["/bin/chmod", "-R", "u+rwX"], ["/bin/rm", "-rf"]):
        silent = [(os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
        os.waitpid(os.posix_spawn(argv[0], [*argv, "--", *paths], {}, file_actions=silent), 0)


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
