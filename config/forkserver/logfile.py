"""What a service prints, kept in a file that cannot grow without end.

The child appends to the file through its stdout and stderr; the fork server cuts it from outside, by copying
what is there to `<name>.log.1` and emptying it. A line written in between the two is lost, which is
the price for children that never have to reopen anything.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

LARGEST_BYTES = 8 * 2**20


def path_of(folder: Path, service: str) -> Path:
    """Where the log of `service` is."""
    return folder / f"{service}.log"


def open_for(folder: Path, service: str) -> int:
    """A descriptor that appends to the log of `service`."""
    folder.mkdir(parents=True, exist_ok=True)
    return os.open(path_of(folder, service), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def cut(folder: Path, *, largest_bytes: int = LARGEST_BYTES) -> None:
    """Move what is in every log over `largest_bytes` aside, over what was moved there before."""
    for path in folder.glob("*.log"):
        if path.stat().st_size > largest_bytes:
            shutil.copyfile(path, path.with_suffix(".log.1"))
            os.truncate(path, 0)


def last_lines(folder: Path, service: str, count: int) -> list[str]:
    """The last `count` lines in the log of `service`; none where there is no log."""
    try:
        with path_of(folder, service).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - count * 1024))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []
