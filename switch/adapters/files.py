"""What tells one state of a model's file from another."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Seen(NamedTuple):
    """A file as it was at one moment."""

    size: int
    modified_ns: int
    inode: int


def look_at(path: Path) -> Seen | None:
    """The file as it is now; None where there is none."""
    try:
        about = path.stat()
    except OSError:
        return None
    return Seen(about.st_size, about.st_mtime_ns, about.st_ino)
