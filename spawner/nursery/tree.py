"""The processes under this one, as /proc shows them: what they take together, and their end.

The warden is the parent of orphans (`kernel.adopt_orphans`), so whatever a daughter starts stays below it, by whatever
detour, and "no child is left" from the kernel means that nothing is.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

_TICK: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_MIB: Final = 1 << 20
_PAUSE_SEC: Final = 0.002


@dataclass(frozen=True, slots=True)
class Taken:
    """What some processes take now, and what the ended ones had taken."""

    processes: int
    cpu_sec: float
    memory_mb: float


class Tree:
    """All that descends from this process; `apart` are children that are ours and not the daughter's."""

    def __init__(self, apart: Iterable[int] = ()) -> None:
        self.status: dict[int, int] = {}  # of children that have ended: exit code, or minus the signal
        self._apart = frozenset(apart)

    def taken(self, enough_mb: float) -> Taken:
        """What the tree takes. Memory is the sum of resident sizes; only where that is more than `enough_mb` are pages
        that processes share counted by share, which takes longer."""
        pids = [pid for pid in below(os.getpid()) if pid not in self._apart]
        figures = [figure for pid in pids if (figure := _figure(pid))]
        memory = sum(figure[1] for figure in figures)
        if memory > enough_mb:
            memory = sum(_shared_fairly(pid) for pid in pids)
        return Taken(len(figures), sum(figure[0] for figure in figures) + ended_cpu_sec(), memory)

    def reap(self) -> bool:
        """Take note of the children that have ended; False once there is none left at all."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            self.status[pid] = os.waitstatus_to_exitcode(status)

    def ask(self) -> None:
        """SIGTERM to each; a stopped one is woken to hear it."""
        for pid in below(os.getpid()):
            _signal(pid, signal.SIGTERM)
            _signal(pid, signal.SIGCONT)

    def end(self, within_sec: float) -> bool:
        """Kill all, those included that are being born meanwhile; whether nothing is left."""
        deadline = time.monotonic() + within_sec
        while self.reap():
            if time.monotonic() > deadline:
                return False
            self._freeze()
            for pid in below(os.getpid()):
                _signal(pid, signal.SIGKILL)
            time.sleep(_PAUSE_SEC)
        return True

    def _freeze(self) -> None:
        """Stop all before any is killed: a stopped process has no children, so a fork bomb cannot outrun this."""
        seen: set[int] = set()
        for _ in range(50):
            new = set(below(os.getpid())) - seen
            if not new:
                return
            for pid in new:
                _signal(pid, signal.SIGSTOP)
            seen |= new


def end_strays(keep: frozenset[int]) -> None:
    """Kill the children of this process that are not in `keep`, and all below them: orphans of somebody who died."""
    for _ in range(1000):
        strays = [pid for pid in _children(os.getpid()) if pid not in keep]
        if not strays:
            return
        for pid in [*strays, *(deeper for stray in strays for deeper in below(stray))]:
            _signal(pid, signal.SIGKILL)
        time.sleep(_PAUSE_SEC)
        for pid in strays:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def below(pid: int) -> Iterator[int]:
    """The descendants of a process."""
    for child in _children(pid):
        yield child
        yield from below(child)


def _children(pid: int) -> list[int]:
    """Those whose parent is one of its threads; none once it is gone."""
    with suppress(OSError):
        lists = [_text(f"/proc/{pid}/task/{thread}/children") for thread in os.listdir(f"/proc/{pid}/task")]
        return [int(child) for child in " ".join(lists).split()]
    return []


def ended_cpu_sec() -> float:
    """CPU time of the descendants that have ended and were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def largest_ended_mb() -> float:
    """The largest resident size any ended descendant ever had."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def _figure(pid: int) -> tuple[float, float] | None:
    """CPU seconds (of its own and of what it waited for) and resident MiB; None once it is gone, or a zombie."""
    try:
        fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    except OSError:
        return None
    if fields[0] in "ZX":
        return None
    return sum(map(int, fields[11:15])) / _TICK, int(fields[21]) * _PAGE / _MIB


def _shared_fairly(pid: int) -> float:
    try:
        lines = _text(f"/proc/{pid}/smaps_rollup").splitlines()
    except OSError:
        figure = _figure(pid)
        return figure[1] if figure else 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def _text(path: str) -> str:
    """What /proc says, by the shortest way: this is read twenty times a second for each process."""
    opened = os.open(path, os.O_RDONLY)
    try:
        said = b""
        while piece := os.read(opened, 1 << 14):
            said += piece
        return said.decode(errors="replace")
    finally:
        os.close(opened)


def _signal(pid: int, number: int) -> None:
    with suppress(OSError):
        os.kill(pid, number)
