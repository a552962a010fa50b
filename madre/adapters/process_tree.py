"""What a process and all that it started take together, from /proc (proc(5)).

A process that has ended and was waited for stays counted: the kernel adds its CPU time and its I/O to its parent's.
"""

from __future__ import annotations

import os
from pathlib import Path

from config.memory import pss_mb
from config.processes import PROC, descendants, storage_bytes
from madre.drivers import Usage

_TICKS_PER_SEC = os.sysconf("SC_CLK_TCK")
_TIMES = slice(11, 15)  # utime, stime, cutime, cstime: fields 14 to 17 of proc_pid_stat(5), after pid and (comm)


def tree_usage(root: int, proc: Path = PROC) -> Usage | None:
    """What the process `root` and its descendants take now; None once it is gone. Walks pages: not on an event loop.

    A descendant that ends meanwhile is left out. `proc` is the seam of tests.
    """
    cpu_sec, memory_mb = _cpu_sec(proc / str(root)), pss_mb(root, proc)
    if cpu_sec is None or memory_mb is None:
        return None
    for pid in descendants(root, proc):
        cpu_sec += _cpu_sec(proc / str(pid)) or 0.0
        memory_mb += pss_mb(pid, proc) or 0.0
    read, written = storage_bytes(root, proc) or (None, None)
    return Usage(round(cpu_sec, 3), round(memory_mb, 1), read, written)


def _cpu_sec(folder: Path) -> float | None:
    """CPU time of a process and of its children that have ended."""
    try:
        after_name = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return sum(map(int, after_name[_TIMES])) / _TICKS_PER_SEC
