"""How much memory the machine or container has, as /proc and the cgroup tell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes in all, and bytes that could be had now without swapping."""

    total: int
    available: int


def read_memory(meminfo: Path = MEMINFO, cgroup: Path = CGROUP) -> Memory | None:
    """The memory of the host, cut to the limit of the container where there is one; None where nothing tells."""
    try:
        rows = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        total, available = (int(rows[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError, ValueError):
        return None
    limit = _number(cgroup / "memory.max")
    if limit is None or limit >= total:
        return Memory(total, available)
    used = _number(cgroup / "memory.current") or 0
    return Memory(limit, max(0, min(available, limit - used)))


def _number(file: Path) -> int | None:
    """The number that a cgroup v2 file holds; None for `max`, or where there is no such file."""
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
