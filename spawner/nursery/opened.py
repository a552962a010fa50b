"""What a tree of processes has open that neither a name in its folder nor a resident page shows.

A file without a name keeps its blocks as long as it is open; a socket and a pipe keep what was written to them in the
kernel's own memory. Both are found by their descriptors. Files are counted by what they take, sockets and pipes by the
most that they can hold: how full they are, the kernel tells only for some.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Final

from spawner.nursery import kernel

_BLOCK: Final = 512  # what st_blocks counts in
_PIPE_BYTES: Final = 16 * os.sysconf("SC_PAGE_SIZE")  # `seccomp.py` lets nobody have a larger one


@dataclass(frozen=True, slots=True)
class Opened:
    """Files without a name, what sockets and pipes can hold, and the processes that did not let themselves be seen."""

    files: int = 0
    size_bytes: int = 0
    buffer_bytes: int = 0
    blind: frozenset[int] = frozenset()


def opened(places: Iterable[tuple[int, str]], user: int | None) -> Opened:
    """By what /proc says in `places`: each process and its folder there. `user`: the processes' own, None for ours."""
    seen: dict[tuple[int, int], os.stat_result] = {}
    blind: set[int] = set()
    for pid, place in places:
        try:
            _look(place, seen)
        except PermissionError:
            # Root without the right to trace, as in most containers, sees what the processes' own user does.
            try:
                if user is None:
                    raise
                with kernel.seeing_as(user):
                    _look(place, seen)
            except PermissionError:
                blind.add(pid)
        except OSError:
            continue  # it has just ended
    files = [about for about in seen.values() if stat.S_ISREG(about.st_mode)]
    sockets = sum(stat.S_ISSOCK(about.st_mode) for about in seen.values())
    buffers = sockets * _socket_bytes() + (len(seen) - len(files) - sockets) * _PIPE_BYTES
    return Opened(len(files), sum(about.st_blocks for about in files) * _BLOCK, buffers, frozenset(blind))


def _look(place: str, seen: dict[tuple[int, int], os.stat_result]) -> None:
    """Add what a process has open and counts, each once however many descriptors it has."""
    folder = os.open(f"{place}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in os.listdir(folder):
            with suppress(FileNotFoundError):
                about = os.stat(name, dir_fd=folder)
                if _counts(about):
                    seen[(about.st_dev, about.st_ino)] = about
    finally:
        os.close(folder)


def _counts(about: os.stat_result) -> bool:
    mode = about.st_mode
    return stat.S_ISSOCK(mode) or stat.S_ISFIFO(mode) or (stat.S_ISREG(mode) and about.st_nlink == 0)


@cache
def _socket_bytes() -> int:
    """The most that a socket holds: what this kernel gives it to send and to receive, which nobody here may raise."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        return sum(one.getsockopt(socket.SOL_SOCKET, kind) for kind in (socket.SO_SNDBUF, socket.SO_RCVBUF))
