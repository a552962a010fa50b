"""The folder of a dry run: a copy that is worked in, compared, and removed.

Copied by the kernel, which shares the blocks until they are changed where the filesystem can (btrfs, XFS).
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from spawner.cage import Change, ChangedFile
from spawner.plain import plain_name

_CHUNK: Final = 1 << 20
_MIB: Final = 1 << 20


class TooMuchError(Exception):
    """The folder is too large to copy; its text says by what."""


@contextmanager
def copy_of(folder: Path, most_mb: int) -> Iterator[Path]:
    """A copy beside `folder`, removed at the end. TooMuchError if it holds more than `most_mb` MiB."""
    size = sum(found.st_size for found in _found(folder).values() if stat.S_ISREG(found.st_mode))
    if size > most_mb * _MIB:
        raise TooMuchError(f"a dry run copies its folder, which holds {size // _MIB} MiB of at most {most_mb}")
    copy = folder.with_name(f".{folder.name}.dry-{secrets.token_hex(4)}")  # no workspace may be called so
    try:
        _copy(folder, copy)
        yield copy
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def changes(before: Path, after: Path) -> tuple[ChangedFile, ...]:
    """What is different in `after`, by path. Contents are compared, since times can be set to anything."""
    old, new = _found(before), _found(after)
    added = [path for path in new.keys() - old.keys() if _counts(path, new)]
    deleted = [path for path in old.keys() - new.keys() if _counts(path, old)]
    modified = [path for path in old.keys() & new.keys() if _differs(before / path, old[path], after / path, new[path])]
    told = [(path, Change.ADDED) for path in added]
    told += [(path, Change.DELETED) for path in deleted]
    told += [(path, Change.MODIFIED) for path in modified]
    return tuple(ChangedFile(plain_name(path), change) for path, change in sorted(told))


def _found(folder: Path) -> dict[str, os.stat_result]:
    """All that is in a folder, by path in it; links are not followed."""
    found: dict[str, os.stat_result] = {}
    for place, folders, files in os.walk(folder, followlinks=False):
        for name in (*folders, *files):
            path = Path(place, name)
            found[path.relative_to(folder).as_posix()] = path.lstat()
    return found


def _counts(path: str, all_of_it: dict[str, os.stat_result]) -> bool:
    """A folder counts only where it is empty: else what is in it says it."""
    is_folder = stat.S_ISDIR(all_of_it[path].st_mode)
    return not is_folder or not any(other.startswith(f"{path}/") for other in all_of_it)


def _differs(old: Path, was: os.stat_result, new: Path, now: os.stat_result) -> bool:
    if stat.S_IFMT(was.st_mode) != stat.S_IFMT(now.st_mode):
        return True
    if stat.S_ISLNK(was.st_mode):
        return old.readlink() != new.readlink()
    if stat.S_ISDIR(was.st_mode):
        return False
    if (was.st_mode, was.st_size) != (now.st_mode, now.st_size):
        return True
    return stat.S_ISREG(was.st_mode) and not _same_bytes(old, new)


def _same_bytes(one: Path, other: Path) -> bool:
    with open(one, "rb") as left, open(other, "rb") as right:
        while True:
            piece = left.read(_CHUNK)
            if piece != right.read(_CHUNK):
                return False
            if not piece:
                return True


def _copy(folder: Path, copy: Path) -> None:
    """Folders, files and links; whatever else there is (sockets, pipes) is nothing to copy."""
    copy.mkdir(mode=0o700)
    _same_owner(folder, copy)
    for entry in os.scandir(folder):
        target = copy / entry.name
        if entry.is_symlink():
            target.symlink_to(Path(entry.path).readlink())
        elif entry.is_dir():
            _copy(Path(entry.path), target)
        elif entry.is_file():
            _copy_file(Path(entry.path), target)


def _copy_file(source: Path, target: Path) -> None:
    with open(source, "rb") as reads, open(target, "xb") as writes:
        left = os.fstat(reads.fileno()).st_size
        while left > 0 and (copied := os.copy_file_range(reads.fileno(), writes.fileno(), left)):
            left -= copied
    shutil.copystat(source, target)
    _same_owner(source, target)


def _same_owner(source: Path, target: Path) -> None:
    if os.geteuid() == 0:  # who is not root owns both
        owner = source.stat()
        os.chown(target, owner.st_uid, owner.st_gid)
