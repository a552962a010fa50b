"""Processes as /proc shows them (proc(5)): who started whom, and what they had read from and written to storage.

Each service tells the bytes of itself and of what it started, because not every container engine can: where the kernel
keeps no block I/O accounts of control groups, nobody outside knows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from config.metrics import Family

PROC = Path("/proc")


def descendants(pid: int, proc: Path = PROC) -> Iterator[int]:
    """The processes that `pid` and its children started; a thread's children are listed with the thread."""
    try:
        lists = [(thread / "children").read_text() for thread in (proc / str(pid) / "task").iterdir()]
    except OSError:  # it is gone, or the kernel keeps no such lists
        return
    for child in " ".join(lists).split():
        yield int(child)
        yield from descendants(int(child), proc)


def storage_bytes(pid: int, proc: Path = PROC) -> tuple[int, int] | None:
    """Bytes that a process and those that it started have had read and written; None where that may not be seen.

    One that has ended and was waited for stays counted: the kernel adds its I/O to its parent's.
    """
    own = _counted(proc / str(pid))
    if own is None:
        return None
    read, written = own
    for child in descendants(pid, proc):
        more = _counted(proc / str(child)) or (0, 0)
        read, written = read + more[0], written + more[1]
    return read, written


def storage_families(service: str) -> Iterator[Family]:
    """The bytes of this very process and of those it started, for Prometheus; nothing where they are not known."""
    moved = storage_bytes(os.getpid())
    if moved is None:
        return
    for way, count in zip(("read", "written"), moved, strict=True):
        meaning = f"Bytes that the service and what it started had {way}, from or to storage."
        yield Family("counter", f"vx11_process_{way}_bytes", meaning, ("service",), {(service,): count})


def _counted(folder: Path) -> tuple[int, int] | None:
    try:
        lines = (folder / "io").read_text().splitlines()
    except OSError:
        return None
    counted = {name: int(count) for name, _, count in (line.partition(":") for line in lines)}
    return counted["read_bytes"], counted["write_bytes"]
