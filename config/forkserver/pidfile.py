"""One fork server per data folder: a lock that the kernel drops with its holder, and a pid to read."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path


def hold(path: Path) -> int:
    """Lock `path` for the life of this process and write its pid there; the descriptor that holds the lock.

    SystemExit, naming the other, when a fork server already runs on this data folder.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"this fleet runs already, as process {path.read_text().strip() or 'unknown'}")
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor
