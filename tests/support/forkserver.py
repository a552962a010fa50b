"""A real fork server whose services only wait, for tests of the server and of the driver that orders it.

Run as `python -m tests.support.forkserver <folder> <socket>`: the child that stands for madre hands its pipe ends to
the test over the Unix socket, each time it is started; the other children behave as a file in the folder says:
`<service>.behaviour` holds `stubborn` (ignores SIGTERM), `dies` (exits 3), `family` (has children of its own).
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from config import lifeline
from config.forkserver.link import ForkLink
from config.forkserver.supervisor import ForkServer
from madre.adapters.process import ProcessDriver

STOP_GRACE_SEC = 1.0
_ROOT = Path(__file__).resolve().parents[2]


def _body(folder: Path, door: str, service: str, link: ForkLink | None) -> int:
    print(f"{service} lives as {os.getpid()}", flush=True)
    if link is not None:
        with socket.socket(socket.AF_UNIX) as hand:
            hand.connect(door)
            socket.send_fds(hand, [b"madre"], [link.orders, link.reports])
    behaviour = folder / f"{service}.behaviour"
    words = behaviour.read_text().split() if behaviour.exists() else []
    if "dies" in words:
        print("no such file, vx11_secretsecretsecret", file=sys.stderr)
        return 3
    if "stubborn" in words:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "family" in words:
        code = "import os, time; os.fork() or (os.setsid(), os.fork()); time.sleep(600)"
        subprocess.Popen([sys.executable, "-c", code])
    while True:
        signal.pause()


def main(folder: Path, door: str) -> None:
    """Be the fork server until told to end."""
    lifeline.adopt_orphans()
    server = ForkServer(
        folder / "logs", lambda service, link: _body(folder, door, service, link), stop_grace_sec=STOP_GRACE_SEC
    )
    server.run()


class WaitingFleet:
    """The fork server's process as a test sees it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(folder / "door"))
        self._door.listen()
        self._door.settimeout(20)
        argv = [sys.executable, "-m", "tests.support.forkserver", str(folder), str(folder / "door")]
        self.process = subprocess.Popen(argv, cwd=_ROOT)

    def behave(self, service: str, *words: str) -> None:
        """Have the next life of `service` go as scripted."""
        (self.folder / f"{service}.behaviour").write_text(" ".join(words))

    async def link(self) -> ForkLink:
        """The pipe ends of the madre that was started last; waits for her."""
        return await asyncio.to_thread(self._accept)

    def _accept(self) -> ForkLink:
        hand, _ = self._door.accept()
        with hand:
            _, descriptors, _, _ = socket.recv_fds(hand, 16, 2)
        return ForkLink(*descriptors)

    def driver(self, link: ForkLink) -> ProcessDriver:
        """The process driver on `link`."""
        return ProcessDriver(link, self.folder / "logs")

    def close(self) -> None:
        """End the fork server, and with it all its children."""
        self.process.kill()
        self.process.wait()
        self._door.close()


@asynccontextmanager
async def waiting_fleet(folder: Path) -> AsyncIterator[WaitingFleet]:
    """A fork server with services that only wait, in `folder`."""
    fleet = WaitingFleet(folder)
    try:
        yield fleet
    finally:
        fleet.close()


def family_of(pid: int) -> set[int]:
    """Every live descendant of `pid`, zombies left out."""
    found: set[int] = set()
    for child in _children_of(pid):
        found |= {child} | family_of(child)
    return found


def is_alive(pid: int) -> bool:
    """Whether `pid` is a process that still runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
