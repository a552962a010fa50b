"""Who listens on a TCP port, as far as /proc tells this user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_LISTEN = "0A"


@dataclass(frozen=True, slots=True)
class Holder:
    """What holds a port; `pid` and `name` are None for a process of another user."""

    port: int
    pid: int | None
    name: str | None

    def __str__(self) -> str:
        if self.pid is None:
            return f"port {self.port} is taken by a process of another user"
        return f"port {self.port} is taken by {self.name} (pid {self.pid})"


def holders(ports: Sequence[int], proc: Path = PROC) -> list[Holder]:
    """The holders of those of `ports` that something listens on, in the order given."""
    inodes = dict(_listening(proc))
    taken = [port for port in ports if port in inodes]
    owners = _socket_owners(proc, {inodes[port] for port in taken}) if taken else {}
    return [_holder(port, owners.get(inodes[port]), proc) for port in taken]


def _listening(proc: Path) -> Iterator[tuple[int, str]]:
    """(port, socket inode) of every listening TCP socket; the format is proc(5)'s /proc/net/tcp."""
    for table in ("tcp", "tcp6"):
        try:
            rows = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            words = row.split()
            if words[3] == _LISTEN:
                yield int(words[1].rpartition(":")[2], 16), words[9]


def _socket_owners(proc: Path, inodes: set[str]) -> dict[str, int]:
    """Which process has each socket open; processes we may not look into are left out."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    owners: dict[str, int] = {}
    for folder in proc.glob("[0-9]*/fd"):
        for target in _open_files(folder) & wanted.keys():
            owners[wanted[target]] = int(folder.parent.name)
    return owners


def _open_files(folder: Path) -> set[str]:
    """What a process has open; empty for one we may not look into. Descriptors come and go while we read."""
    targets = set()
    with suppress(OSError):
        for link in folder.iterdir():
            with suppress(OSError):
                targets.add(str(link.readlink()))
    return targets


def _holder(port: int, pid: int | None, proc: Path) -> Holder:
    if pid is None:
        return Holder(port, None, None)
    try:
        return Holder(port, pid, (proc / str(pid) / "comm").read_text().strip())
    except OSError:
        return Holder(port, None, None)
