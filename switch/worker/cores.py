"""What the kernel counts of cores and of who waits for them (proc(5): /proc/stat, /proc/pid/task/tid/schedstat)."""

from __future__ import annotations

import os
from pathlib import Path

_IDLE, _IOWAIT = 4, 5  # fields of a cpu line
_NANOSECONDS = 1_000_000_000
_TICKS_PER_SEC = os.sysconf("SC_CLK_TCK")


def idle_seconds(stat: Path = Path("/proc/stat")) -> float:
    """Seconds that the cores this process may use have stood idle since the machine started, all together.

    In a container these are the host's, which is what counts. 0 where the kernel does not tell: then no core is ever
    seen to be idle.
    """
    try:
        lines = stat.read_text().splitlines()
    except OSError:
        return 0.0
    ours = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    fields = [line.split() for line in lines if line.startswith("cpu")]
    ticks = sum(int(line[_IDLE]) + int(line[_IOWAIT]) for line in fields if line[0] in ours)
    return ticks / _TICKS_PER_SEC


def waited_seconds(tasks: Path = Path("/proc/self/task")) -> float | None:
    """Seconds that threads of this process were ready to run and did not, all together; None where no kernel tells.

    Threads that have ended no longer count, so the sum can shrink.
    """
    total = 0
    try:
        for task in os.listdir(tasks):
            total += int((tasks / task / "schedstat").read_text().split()[1])
    except (OSError, IndexError):
        return None
    return total / _NANOSECONDS
