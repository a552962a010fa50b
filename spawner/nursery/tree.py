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

from spawner.nursery import kernel
from spawner.nursery.opened import Opened, opened

_TICK: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_MIB: Final = 1 << 20
_PAUSE_SEC: Final = 0.002


@dataclass(frozen=True, slots=True)
class Taken:
    """What some processes take now, and what the ended ones had taken. `memory_mb` includes what buffers can hold."""

    processes: int
    cpu_sec: float
    memory_mb: float
    opened: Opened


@dataclass(frozen=True, slots=True)
class _Figure:
    """One process: CPU time of its own and of what it waited for, memory, and where /proc shows what it has open; no
    place for one that is just ending."""

    pid: int
    cpu_sec: float
    memory_mb: float
    place: str


class Tree:
    """All that descends from this process; `apart` are children that are ours and not the daughter's. `user`: that of
    the processes, None for ours."""

    def __init__(self, apart: Iterable[int] = (), user: int | None = None) -> None:
        self.status: dict[int, int] = {}  # of children that have ended: exit code, or minus the signal
        self._apart = frozenset(apart)
        self._user = user
        self._swaps = kernel.has_swap()

    def taken(self, enough_mb: float) -> Taken:
        """What the tree takes. Memory is the sum of resident sizes; only where that is more than `enough_mb` are pages
        that processes share counted by share, which takes longer."""
        pids = [pid for pid in below(os.getpid()) if pid not in self._apart]
        figures = [figure for pid in pids if (figure := _figure(pid, self._swaps))]
        shown = opened([(figure.pid, figure.place) for figure in figures if figure.place], self._user)
        buffers = shown.buffer_bytes / _MIB
        memory = sum(figure.memory_mb for figure in figures) + buffers
        if memory > enough_mb:
            memory = sum(map(_shared_fairly, figures)) + buffers
        return Taken(len(figures), sum(figure.cpu_sec for figure in figures) + ended_cpu_sec(), memory, shown)

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


def _figure(pid: int, swaps: bool) -> _Figure | None:
    """None once it is gone, or a zombie without threads."""
    fields, place = _fields(f"/proc/{pid}"), f"/proc/{pid}"
    cpu = sum(map(int, fields[11:15])) / _TICK if fields else 0.0
    if fields and fields[0] in "ZX":  # a process whose first thread has ended goes on in the others, and looks dead
        fields, place = _other_thread(pid)
    if not fields:
        return None
    swapped = _named_kib(f"{place}/status", ("VmSwap:",)) / 1024 if swaps else 0.0
    ending = fields[20] == "0"  # its memory is gone already
    return _Figure(pid, cpu, int(fields[21]) * _PAGE / _MIB + swapped, "" if ending else place)


def _other_thread(pid: int) -> tuple[list[str], str]:
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            fields = _fields(place := f"/proc/{pid}/task/{thread}")
            if fields and fields[0] not in "ZX":
                return fields, place
    return [], ""


def _fields(place: str) -> list[str]:
    """Of `stat`, from the state on; none once it is gone."""
    with suppress(OSError):
        return _text(f"{place}/stat").rpartition(")")[2].split()
    return []


def _shared_fairly(figure: _Figure) -> float:
    return _named_kib(f"/proc/{figure.pid}/smaps_rollup", ("Pss:", "SwapPss:")) / 1024 or figure.memory_mb


def _named_kib(path: str, names: tuple[str, ...]) -> int:
    """The sum of these lines, which /proc gives in KiB."""
    with suppress(OSError):
        return sum(int(line.split()[1]) for line in _text(path).splitlines() if line.startswith(names))
    return 0


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
