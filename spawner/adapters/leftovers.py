"""Processes that a spawner which died may have left behind: found by what only daughters have, and ended.

The kernel ends most of them with their parent (`PR_SET_PDEATHSIG`), but not a grandchild that had left its session. Two
marks say whose a process is: the attempt's id in the environment it was started with, and a working folder below the
attempt's own. A process could shed both; the cage's stronger rungs keep it from outliving its keeper at all.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_FIELDS_AFTER_NAME: Final = 19  # of /proc/PID/stat: `starttime` is field 22, the name is field 2 and may hold spaces
_INSIST_SEC: Final = 2.0
_LOOK_EVERY_SEC: Final = 0.02


def started_at(pid: int) -> str | None:
    """When the kernel started this process, in its own ticks: with the pid, a name that is never used again."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[_FIELDS_AFTER_NAME]


class Leftovers:
    """Looks through the processes of this machine, or of this container. `proc` is the seam of tests."""

    def __init__(self, proc: Path = _PROC) -> None:
        self._proc = proc

    def end(self, attempt_ids: Iterable[str], folders: Iterable[Path]) -> int:
        """Kill what belongs to these attempts, again until nothing does; how many processes that were. Blocks."""
        marks = [f"VX11_ATTEMPT_ID={attempt_id}".encode() for attempt_id in attempt_ids]
        places = [f"{folder}/" for folder in folders]
        killed: set[int] = set()
        give_up = time.monotonic() + _INSIST_SEC
        while (found := self._found(marks, places)) and time.monotonic() < give_up:
            for pid in found:
                _kill(pid)
            killed.update(found)
            time.sleep(_LOOK_EVERY_SEC)
        return len(killed)

    def _found(self, marks: list[bytes], places: list[str]) -> list[int]:
        pids = (int(path.name) for path in self._proc.iterdir() if path.name.isdecimal())
        return [pid for pid in pids if pid != os.getpid() and self._belongs(pid, marks, places)]

    def _belongs(self, pid: int, marks: list[bytes], places: list[str]) -> bool:
        here = self._proc / str(pid)
        try:
            folder = f"{(here / 'cwd').readlink()}/"
            environment = (here / "environ").read_bytes().split(b"\0")
        except OSError:
            return False
        return any(mark in environment for mark in marks) or any(folder.startswith(place) for place in places)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass
