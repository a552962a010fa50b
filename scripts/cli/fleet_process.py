"""The fleet as one process seen from outside: its pid file, starting it, stopping it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from config import lifeline
from config.forkserver import logfile
from scripts.surroundings import Surroundings

PROC = Path("/proc")
_POLL_SEC = 0.05


@dataclass(frozen=True, slots=True)
class FleetProcess:
    """The process a pid file names; it may be long gone, or its number be another's by now."""

    pid: int
    proc: Path = PROC

    @property
    def is_alive(self) -> bool:
        """Whether that process exists and is a fleet (`python -m config fleet`)."""
        try:
            words = (self.proc / str(self.pid) / "cmdline").read_bytes().split(b"\0")
            state = (self.proc / str(self.pid) / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return False
        return state != "Z" and b"fleet" in words and any(word in words for word in (b"config", b"-mconfig"))

    def stop(self, *, patience_sec: float, on_wait: Callable[[], object]) -> bool:
        """Ask it to end and wait, calling `on_wait` between looks; True when it ended in time."""
        try:
            os.kill(self.pid, signal.SIGTERM)
        except ProcessLookupError:
            return True
        deadline = time.monotonic() + patience_sec
        while self.is_alive:
            if time.monotonic() > deadline:
                return False
            on_wait()
            time.sleep(_POLL_SEC)
        return True

    def kill(self) -> None:
        """End it at once; the kernel ends what it started (config.lifeline)."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class PidFile:
    """Where the fleet writes its pid."""

    path: Path

    def read(self) -> FleetProcess | None:
        """The process it names; None where there is no file, or none that can be read."""
        try:
            return FleetProcess(int(self.path.read_text()))
        except (OSError, ValueError):
            return None


def start(world: Surroundings, logs: Path, *, detached: bool) -> subprocess.Popen[bytes]:
    """Start the fleet; what its fork server itself says goes to fleet.log in `logs`.

    It gets a session of its own, so that Ctrl-C reaches only the command line, which then stops it in
    order. Unless `detached`, it also ends when this process does, however that comes about.
    """
    output = logfile.open_for(logs, "fleet")
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "config", "fleet"],
            cwd=world.repository,
            env=world.child_variables(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=None if detached else lifeline.die_with_parent,  # noqa: PLW1509  # the command line has one thread
        )
    finally:
        os.close(output)
