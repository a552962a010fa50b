"""How many cores this process may keep busy: those of its affinity, or fewer where a container says so."""

from __future__ import annotations

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "max 100000" or "150000 100000": microseconds of CPU in each period


def usable_cores(quota: Path = _QUOTA) -> int:
    """Whole cores, at least one: threads beyond them would only wait for each other."""
    cores = len(os.sched_getaffinity(0))
    try:
        allowed, period = quota.read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if allowed == "max" else max(1, min(cores, int(allowed) // int(period)))
