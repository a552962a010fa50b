"""Checks of the machine that need nothing but the standard library. Each is pure: what it judges is given to it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from scripts.doctor.finding import Finding, failure, ok, warning
from scripts.doctor.ports import Holder
from scripts.quantities import GB, GIB, bytes_in_words
from scripts.setup.compiler import Compiler, find_compiler
from scripts.setup.memory import Memory, read_memory
from scripts.surroundings import Surroundings

OLDEST_PYTHON = (3, 11)
LEAST_MEMORY = 1 * GIB
COMFORTABLE_MEMORY = 2 * GIB


def examine(world: Surroundings, *, needed_bytes: int, compiles: bool) -> list[Finding]:
    """All of them; `needed_bytes` are still to be written to disk, `compiles`: llama.cpp is still to be built."""
    memory = read_memory()
    folders = (world.repository, *(world.repository / name for name in ("build", "data", "models")), world.cache)
    return [
        python_version(platform.python_version_tuple()),
        virtual_environments(importlib.util.find_spec("ensurepip") is not None),
        compiler(find_compiler(world.variables), needed=compiles),
        free_disk(world.repository, shutil.disk_usage(world.repository).free, needed_bytes),
        write_permission(folders),
        *([memory_size(memory)] if memory else []),
    ]


def python_version(version: Sequence[str]) -> Finding:
    """`version` as platform.python_version_tuple gives it."""
    words = f"Python {'.'.join(version)}"
    if tuple(int(part) for part in version[:2]) >= OLDEST_PYTHON:
        return ok("Python", words)
    oldest = ".".join(map(str, OLDEST_PYTHON))
    return failure("Python", f"{words} is older than {oldest}.", f"Install Python {oldest} or newer.")


def virtual_environments(has_ensurepip: bool) -> Finding:
    """Whether this Python can make a virtual environment with pip in it."""
    if has_ensurepip:
        return ok("venv", "virtual environments can be made")
    return failure(
        "venv",
        "This Python cannot make virtual environments: its ensurepip module is missing.",
        "Debian and Ubuntu keep it in a package of its own: apt install python3-venv",
    )


def compiler(found: Compiler | None, *, needed: bool) -> Finding:
    """Whether llama.cpp can be compiled, or need not be."""
    if found:
        return ok("C++ compiler", found.version)
    if not needed:
        return ok("C++ compiler", "none, and none needed: llama.cpp is compiled already")
    return failure(
        "C++ compiler",
        "There is none, and llama.cpp is compiled for this machine's CPU.",
        "apt install g++ (Debian, Ubuntu) · dnf install gcc-c++ (Fedora) · apk add g++ (Alpine)",
    )


def free_disk(folder: Path, free: int, needed: int) -> Finding:
    """Whether what is still to be made fits on the disk of `folder`."""
    words = f"{bytes_in_words(free)} free, {bytes_in_words(needed)} needed"
    if free < needed:
        return failure("disk", f"{words} on the disk of {folder}.", f"Free {bytes_in_words(needed - free)} there.")
    if free < needed + GB:
        return warning("disk", f"{words}: little is left for more models.")
    return ok("disk", words)


def write_permission(folders: Iterable[Path]) -> Finding:
    """Whether this user may write into `folders`; one that is absent is judged by its nearest parent."""
    locked = [folder for folder in folders if not os.access(_nearest(folder), os.W_OK | os.X_OK)]
    if not locked:
        return ok("permissions", "all folders can be written")
    names = ", ".join(map(str, locked))
    return failure("permissions", f"This user may not write to {names}.", f"chown -R $(id -un) {names}")


def memory_size(memory: Memory) -> Finding:
    """Whether the fleet and a small model fit."""
    words = f"{bytes_in_words(memory.total)}, {bytes_in_words(memory.available)} of it free"
    if memory.total < LEAST_MEMORY:
        return failure("memory", f"{words}; VX11 with one small model needs 1 GiB.", "Use a machine with more memory.")
    if memory.available < LEAST_MEMORY:
        return warning("memory", f"{words}; a small model needs about 0.5 GB.", "End what is not needed.")
    if memory.total < COMFORTABLE_MEMORY:
        return warning("memory", f"{words}: room for small models only.")
    return ok("memory", words)


def free_ports(ports: Sequence[int], taken: Sequence[Holder]) -> Finding:
    """Whether the fleet's ports are free."""
    if not taken:
        return ok("ports", f"{ports[0]} to {ports[-1]} are free")
    words = "; ".join(map(str, taken))
    return failure(
        "ports", f"{words[0].upper()}{words[1:]}.", "Stop it, or move the fleet: VX11_PORT_OFFSET=100 ./vx11 up"
    )


def _nearest(folder: Path) -> Path:
    """`folder`, or its closest ancestor that exists."""
    while not folder.exists():
        folder = folder.parent
    return folder
