"""How much memory there is (what the host has, or less where a container says so), and what a process takes of it."""

from __future__ import annotations

from pathlib import Path

_MIB = 2**20
_BUDGET_SHARE = 0.6
_PROC = Path("/proc")
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def available_mb() -> int:
    """MiB this process may count on: the smaller of the host's memory and its control group's limit."""
    host_kb = next(
        int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:")
    )
    limits = [host_kb * 1024, *(_limit(Path(path)) for path in _CGROUP_LIMITS)]
    return min(limit for limit in limits if limit) // _MIB


def model_budget_mb(setting: int | None) -> int:
    """MiB that all models together may take: the setting VX11_MODEL_MEMORY_MB, else 60 % of what there is."""
    return setting or int(available_mb() * _BUDGET_SHARE)


def pss_mb(pid: int, proc: Path = _PROC) -> float | None:
    """The proportional set size of a process in MiB, as the kernel counts it now; None once it is gone, or where the
    kernel does not tell. Walks all of the process's pages: for a large one that takes a while, so not on an event loop.
    `proc` is the seam of tests.
    """
    try:
        rollup = (proc / str(pid) / "smaps_rollup").read_text()
    except OSError:
        return None
    kib = next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), None)
    return None if kib is None else kib / 1024


def _limit(path: Path) -> int:
    """A control group's limit in bytes; 0 where it sets none."""
    try:
        text = path.read_text().strip()
    except OSError:
        return 0
    return int(text) if text.isdigit() else 0
