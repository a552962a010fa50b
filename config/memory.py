"""How much memory there is (what the host has, or less where a container says so), and what a process takes of it."""

from __future__ import annotations

from pathlib import Path

from config.settings import Settings

_MIB = 2**20
_BUDGET_SHARE = 0.6
_PROC = Path("/proc")
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def machine_mb() -> int:
    """MiB of the machine, whatever this process may have of it."""
    lines = (_PROC / "meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemTotal:")) // 1024


def available_mb() -> int:
    """MiB this process may count on: the smaller of the machine's memory and its control group's limit."""
    limits = [limit for path in _CGROUP_LIMITS if (limit := _limit(Path(path)))]
    return min(machine_mb(), *(limit // _MIB for limit in limits)) if limits else machine_mb()


def fleet_mb(settings: Settings) -> int:
    """MiB all services together may count on. The limit of one container says nothing of the others, so with containers
    it is the machine's memory."""
    return machine_mb() if settings.service_hosts == "names" else available_mb()


def model_budget_mb(settings: Settings) -> int:
    """MiB that all models together may take: VX11_MODEL_MEMORY_MB, else 60 % of what the service that holds them may
    have. Every service comes to the same figure, whatever it may have itself."""
    room = min(fleet_mb(settings), settings.switch.memory_mb or fleet_mb(settings))
    return settings.model_memory_mb or int(room * _BUDGET_SHARE)


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
