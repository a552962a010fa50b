"""What a process and all that it started take together, from /proc (proc(5)).

A process that has ended and was waited for stays counted: the kernel adds its CPU time and its I/O to its parent's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from config.memory import pss_mb
from madre.drivers import Usage

_TICKS_PER_SEC = os.sysconf("SC_CLK_TCK")
_TIMES = slice(11, 15)  # utime, stime, cutime, cstime: fields 14 to 17 of proc_pid_stat(5), after pid and (comm)
_PROC = Path("/proc")


def tree_usage(root: int, proc: Path = _PROC) -> Usage | None:
    """What the process `root` and its descendants take now; None once it is gone. Walks pages: not on an event loop.

    A descendant that ends meanwhile is left out. `proc` is the seam of tests.
    """
    cpu_sec = _cpu_sec(proc / str(root))
    memory_mb = pss_mb(root, proc)
    if cpu_sec is None or memory_mb is None:
        return None
    read, written = _io(proc / str(root)) or (None, None)
    for pid in _descendants(proc, root):
        cpu_sec += _cpu_sec(proc / str(pid)) or 0.0
        memory_mb += pss_mb(pid, proc) or 0.0
        more = _io(proc / str(pid))
        if more and read is not None and written is not None:
            read, written = read + more[0], written + more[1]
    return Usage(round(cpu_sec, 3), round(memory_mb, 1), read, written)


def _descendants(proc: Path, pid: int) -> Iterator[int]:
    """The processes that `pid` and its children started; a thread's children are listed with the thread."""
    try:
        lists = [(thread / "children").read_text() for thread in (proc / str(pid) / "task").iterdir()]
    except OSError:  # it is gone, or the kernel keeps no such lists
        return
    for child in " ".join(lists).split():
        yield int(child)
        yield from _descendants(proc, int(child))


def _cpu_sec(folder: Path) -> float | None:
    """CPU time of a process and of its children that have ended."""
    try:
        after_name = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return sum(map(int, after_name[_TIMES])) / _TICKS_PER_SEC


def _io(folder: Path) -> tuple[int, int] | None:
    """Bytes a process has had read from and written to storage; None where this user may not see them."""
    try:
        lines = (folder / "io").read_text().splitlines()
    except OSError:
        return None
    counted = {name: int(count) for name, _, count in (line.partition(":") for line in lines)}
    return counted["read_bytes"], counted["write_bytes"]
