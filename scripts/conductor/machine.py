"""The machine while something runs on it: CPU and memory, looked at again and again, and waited for while busy."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from scripts.cli.failure import CommandFailed

_LOOK_EVERY_SEC = 0.5
_SETTLE_SEC = 1.0
_IDLE = slice(3, 5)  # idle and iowait, proc_stat(5)


@dataclass(frozen=True, slots=True)
class Look:
    """One look: monotonic seconds, CPU of all cores since the look before, memory that programs may still have."""

    at: float
    cpu_percent: float
    available_mb: int
    total_mb: int


@dataclass(slots=True)
class Looks:
    """What was seen while something ran."""

    seen: list[Look] = field(default_factory=list)

    def in_numbers(self) -> dict[str, float]:
        """Mean and highest CPU (percent of all cores) and memory in use (MiB); empty if nobody looked."""
        if not self.seen:
            return {}
        cpu = [look.cpu_percent for look in self.seen]
        used = [look.total_mb - look.available_mb for look in self.seen]
        return {
            "cpu_percent_mean": round(fmean(cpu), 1),
            "cpu_percent_max": round(max(cpu), 1),
            "memory_used_mb_mean": round(fmean(used)),
            "memory_used_mb_max": max(used),
        }


class Machine:
    """Looks at /proc below `root`; `pause` is how it passes the time (both are the seams of tests)."""

    def __init__(self, root: Path = Path("/"), pause: Callable[[float], None] = time.sleep) -> None:
        self._root = root
        self._pause = pause
        self._before = (0, 0)
        self.look()

    def look(self) -> Look:
        """How it is, and how busy it was since the look before."""
        total, idle = self._ticks()
        spent, self._before = (total - self._before[0], idle - self._before[1]), (total, idle)
        busy = 1 - spent[1] / spent[0] if spent[0] > 0 else 0.0
        memory = self._memory_mb()
        return Look(time.monotonic(), round(100 * busy, 1), memory["MemAvailable"], memory["MemTotal"])

    def settle(self, max_cpu: float, patience_sec: float) -> float:
        """Wait until the CPU was at most `max_cpu` percent for a second; the seconds waited, or CommandFailed."""
        waited = 0.0
        while True:
            self.look()
            self._pause(_SETTLE_SEC)
            busy = self.look().cpu_percent
            if busy <= max_cpu:
                return waited
            waited += _SETTLE_SEC
            if waited >= patience_sec:
                raise CommandFailed(
                    f"The CPU stayed above {max_cpu:g} % for {patience_sec:g} s ({busy:g} % at last).",
                    "Try again when the machine is quieter, or allow more with --max-cpu.",
                )

    @contextmanager
    def watched(self, looks: Looks) -> Iterator[None]:
        """Look every half a second while the block runs, and once more at its end."""
        is_over = threading.Event()
        self.look()

        def watch() -> None:
            while not is_over.wait(_LOOK_EVERY_SEC):
                looks.seen.append(self.look())

        watching = threading.Thread(target=watch, name="machine", daemon=True)
        watching.start()
        try:
            yield
        finally:
            is_over.set()
            watching.join()
            looks.seen.append(self.look())

    def _ticks(self) -> tuple[int, int]:
        """Clock ticks of all cores since boot, and the idle ones among them."""
        columns = [int(column) for column in (self._root / "proc/stat").read_text().splitlines()[0].split()[1:9]]
        return sum(columns), sum(columns[_IDLE])

    def _memory_mb(self) -> dict[str, int]:
        lines = (self._root / "proc/meminfo").read_text().splitlines()
        return {name: int(rest.split()[0]) // 1024 for name, _, rest in (line.partition(":") for line in lines) if rest}
