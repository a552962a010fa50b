"""The machine's signals, read from /proc and /sys; what is not there is None, never a guess."""

from __future__ import annotations

import re
from pathlib import Path

from switch.fluzo import Signals

_AVERAGE = re.compile(r"^some avg10=([0-9.]+)", re.MULTILINE)
_IDLE_COLUMNS = (3, 4)  # idle and iowait, proc_stat(5)
_ON_MAINS = {"Charging", "Full", "Not charging"}


class Sensors:
    """Looks at the machine below `root` (the seam of tests). CPU is the share used since the look before."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._before: tuple[int, int] | None = None
        self._cpu = 0.0

    def look(self) -> Signals:
        """The signals now."""
        return Signals(
            cpu=self._cpu_share(),
            memory=self._memory_share(),
            battery=self._battery(),
            pressure_cpu=self._pressure("cpu"),
            pressure_memory=self._pressure("memory"),
        )

    def _cpu_share(self) -> float:
        columns = [int(column) for column in self._read("proc/stat").splitlines()[0].split()[1:9]]
        total, idle = sum(columns), sum(columns[column] for column in _IDLE_COLUMNS)
        before, self._before = self._before, (total, idle)
        if before is not None and total > before[0]:
            self._cpu = min(1.0, max(0.0, 1 - (idle - before[1]) / (total - before[0])))
        return self._cpu

    def _memory_share(self) -> float:
        sizes = {line.split(":")[0]: int(line.split()[1]) for line in self._read("proc/meminfo").splitlines() if line}
        return 1 - sizes["MemAvailable"] / sizes["MemTotal"]

    def _battery(self) -> float | None:
        """The charge of the emptiest battery that is being used up."""
        charges = []
        for folder in sorted((self._root / "sys/class/power_supply").glob("*")):
            try:
                kind, status = (folder / "type").read_text().strip(), (folder / "status").read_text().strip()
                charge = int((folder / "capacity").read_text())
            except (OSError, ValueError):
                continue
            if kind == "Battery" and status not in _ON_MAINS:
                charges.append(charge / 100)
        return min(charges, default=None)

    def _pressure(self, resource: str) -> float | None:
        try:
            found = _AVERAGE.search(self._read(f"proc/pressure/{resource}"))
        except OSError:  # a kernel without PSI
            return None
        return float(found[1]) if found else None

    def _read(self, name: str) -> str:
        return (self._root / name).read_text()
