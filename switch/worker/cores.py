"""What the kernel counts of cores and of who waits for them (proc(5): /proc/stat, /proc/pid/task/tid/schedstat)."""

from __future__ import annotations

import os
from pathlib import Path

_IDLE, _IOWAIT = 4, 5  # fields of a cpu line
_FIRST_BYTES = 1 << 16  # the lines of the cores come first
_NANOSECONDS = 1_000_000_000
_TICKS_PER_SEC = os.sysconf("SC_CLK_TCK")


class Waited:
    """How long threads of this process were ready to run and did not. Keeps the kernel's files open: opening them anew
    cost 0.4 ms a look, which two spinning threads had to wait for."""

    def __init__(self, tasks: Path = Path("/proc/self/task")) -> None:
        self._tasks = tasks
        self._files: dict[str, int] = {}

    def seconds(self) -> float | None:
        """All threads together; None where no kernel tells. Threads that have ended no longer count, so it can
        shrink."""
        try:
            tasks = os.listdir(self._tasks)
            total = sum(map(self._waited, tasks))
        except (OSError, IndexError):
            return None
        for ended in self._files.keys() - set(tasks):
            os.close(self._files.pop(ended))
        return total / _NANOSECONDS

    def _waited(self, task: str) -> int:
        if task not in self._files:
            self._files[task] = os.open(self._tasks / task / "schedstat", os.O_RDONLY)
        try:
            return int(os.pread(self._files[task], 100, 0).split()[1])
        except ProcessLookupError:  # it ended just now
            return 0


class Idle:
    """How long the cores this process may use have stood idle since the machine started, in its container or not."""

    def __init__(self, stat: Path = Path("/proc/stat")) -> None:
        self._names = {b"cpu%d" % core for core in os.sched_getaffinity(0)}
        try:
            self._file: int | None = os.open(stat, os.O_RDONLY)
        except OSError:
            self._file = None

    def seconds(self) -> float:
        """All of them together; 0 where the kernel does not tell: then no core is ever seen to be idle."""
        if self._file is None:
            return 0.0
        fields = [
            line.split() for line in os.pread(self._file, _FIRST_BYTES, 0).splitlines() if line.startswith(b"cpu")
        ]
        ticks = sum(int(line[_IDLE]) + int(line[_IOWAIT]) for line in fields if line[0] in self._names)
        return ticks / _TICKS_PER_SEC
