"""Which files a process and its descendants may touch, by Landlock (landlock(7)): a list of what is allowed.

Paths are looked up when the rules are made, and hold for the files found there, whatever happens to their names.
Looking at a file's attributes (stat) and changing them (chmod) are not Landlock's business: `seccomp.py` sees to the
second.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from spawner.nursery import kernel

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_BLOCK = 1 << 11
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_FILE_RIGHTS: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_READ: Final = _EXECUTE | _READ_FILE | _READ_DIR
_PATH_BENEATH = 1
_BIND_TCP, _CONNECT_TCP = 1, 2
_ABSTRACT_SOCKETS, _SIGNALS = 1, 2
TRUNCATE_ABI, TCP_ABI, SCOPE_ABI = 3, 4, 6  # since when Landlock knows of what

SYSTEM: Final = tuple(map(Path, ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/sbin")))
SETTINGS: Final = tuple(
    Path("/etc", name)
    for name in ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "passwd", "group")
)
NETWORK_SETTINGS: Final = tuple(
    Path("/etc", name)
    for name in ("resolv.conf", "hosts", "host.conf", "nsswitch.conf", "gai.conf", "services", "protocols", "ssl")
)
SOURCES: Final = tuple(map(Path, ("/dev/zero", "/dev/random", "/dev/urandom")))
SINKS: Final = (Path("/dev/null"), Path("/dev/full"))
_LASTING: Final = frozenset((*SYSTEM, *SOURCES, *SINKS))


@dataclass(frozen=True, slots=True)
class Files:
    """What may be read (and executed), and what may be changed as well."""

    readable: tuple[Path, ...]
    writable: tuple[Path, ...]


def files_of(folder: Path, reads: Iterable[Path], interpreter: Path | None, network: bool) -> Files:
    """What a daughter may touch: her folder; the system's programs and few of its settings; what she was granted."""
    own = () if interpreter is None else (interpreter,)
    settings = SETTINGS + (NETWORK_SETTINGS if network else ())
    return Files((*SYSTEM, *settings, *SOURCES, *own, *reads), (folder, *SINKS))


def ruleset(*, network: bool, abi: int) -> int:
    """Rules that allow the system's folders and devices; the descriptor of what `kernel.landlock_restrict` takes."""
    every = _rights_of(abi)
    tcp = 0 if network or abi < TCP_ABI else _BIND_TCP | _CONNECT_TCP
    scopes = 0 if abi < SCOPE_ABI else _ABSTRACT_SOCKETS | _SIGNALS
    known = struct.pack("=QQQ", every, tcp, scopes)
    rules = kernel.landlock_ruleset(known[: 8 if abi < TCP_ABI else 16 if abi < SCOPE_ABI else 24])
    for path, (opened, is_folder) in open_system().items():
        _allow(rules, opened, is_folder, every & ~_IOCTL_DEV if path in SINKS else _READ)
    return rules


def allow(rules: int, files: Files, *, abi: int) -> None:
    """Allow what the system's rules do not. What does not exist is left out."""
    for paths, rights in ((files.readable, _READ), (files.writable, _rights_of(abi) & ~_IOCTL_DEV)):
        for path in paths:
            if path in _LASTING:
                continue
            opened, is_folder = _opened(path)
            if opened >= 0:
                _allow(rules, opened, is_folder, rights)
                os.close(opened)


def domain(abi: int) -> int:
    """Rules that forbid next to nothing, but make a domain: who is in one may not look into a process that is not, nor
    signal it."""
    scopes = 0 if abi < SCOPE_ABI else _ABSTRACT_SOCKETS | _SIGNALS
    known = struct.pack("=QQQ", _MAKE_BLOCK, 0, scopes)
    return kernel.landlock_ruleset(known[: 8 if abi < SCOPE_ABI else 24])


def _rights_of(abi: int) -> int:
    """All rights that this version knows, so that whatever is not allowed is refused."""
    count = 13 + (abi >= 2) + (abi >= TRUNCATE_ABI) + (abi >= 5)
    return int((1 << count) - 1)


def _allow(rules: int, opened: int, is_folder: bool, rights: int) -> None:
    allowed = rights if is_folder else rights & _FILE_RIGHTS
    kernel.landlock_rule(rules, _PATH_BENEATH, struct.pack("=Qi", allowed, opened))


@cache
def open_system() -> dict[Path, tuple[int, bool]]:
    """The folders and devices that every daughter may touch, opened once: a descriptor, and whether it is a folder.
    Several names of one folder (/bin is often one of /usr/bin) are one."""
    found: dict[tuple[int, int], tuple[Path, tuple[int, bool]]] = {}
    for path in _LASTING:
        if path.exists() and not (path.resolve() != path and path.resolve().is_relative_to("/usr")):
            about = path.stat()
            found[(about.st_dev, about.st_ino)] = (path, _opened(path))
    return dict(found.values())


def _opened(path: Path) -> tuple[int, bool]:
    """A descriptor, -1 where there is none to be had; whether it is a folder's."""
    try:
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return -1, False
    return opened, stat.S_ISDIR(os.fstat(opened).st_mode)
