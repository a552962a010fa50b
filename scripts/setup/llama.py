"""Compiles llama-cpp-python once, for this machine's CPU or (for images) for any, and keeps the wheel.

The wheel lives in a cache of our own: pip's ignores CMAKE_ARGS and could hand back a build made without them.
The flags matter. GCC before 14 declares only 8 of the 64 bytes that AMX's `_tile_loadconfig` reads, so its
dead-store elimination drops the rest and the first decode on an AMX machine is a SIGSEGV; the two flags keep
the stores. The source is pinned by hash, and so is everything that builds it but the compiler.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scripts.quantities import GIB, seconds_in_words
from scripts.setup import environment, packages, tool
from scripts.setup.compiler import Compiler, cpu_features, find_compiler
from scripts.setup.failure import SetupFailed
from scripts.setup.memory import Memory, read_memory
from scripts.surroundings import Surroundings
from scripts.terminal import Bar, Terminal

TITLE = "llama.cpp"
CMAKE_SETTINGS = ("-DCMAKE_CXX_FLAGS=-fno-tree-dse -fno-dse", "-DLLAVA_BUILD=OFF")
MEMORY_PER_JOB = GIB

_STEP = re.compile(r"^\s*\[(\d+)/(\d+)\] ")
_SOURCE = re.compile(r"([\w.-]+\.(?:c|cc|cpp))(?:\.o)?\s*$")
_NO_COMPILER = "There is no C++ compiler on this machine, and llama.cpp is compiled for its CPU."
_GET_COMPILER = "Install one: apt install g++ (Debian, Ubuntu) · dnf install gcc-c++ (Fedora) · apk add g++ (Alpine)"
_CHECK = "import llama_cpp, sys; sys.stdout.write(llama_cpp.llama_print_system_info().decode())"


def _recipe(name: str) -> Path:
    return Path(__file__).with_name(f"{name}.cmake")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of build: what it is compiled for, and what CMake includes to do it (the last one includes the others).

    `features` are the instruction sets that the compiler is asked to use, of the CPU that the build is for.
    """

    made_for: str
    recipes: tuple[Path, ...]
    features: Callable[[], tuple[str, ...]]


NATIVE = Kind("this CPU", (_recipe("llama"),), cpu_features)
PORTABLE = Kind("any CPU of this kind", (_recipe("llama"), _recipe("portable")), tuple)


def install(world: Surroundings, terminal: Terminal) -> None:
    """Put llama-cpp-python into `.venv`: from the cache, or compiled now. SetupFailed says why not."""
    started = terminal.monotonic()
    wheel, words = wheel_of(NATIVE, world, terminal)
    packages.install_wheel(wheel, world.environment, world)
    _check_it_loads(world)
    terminal.done(TITLE, f"{words}, {seconds_in_words(terminal.monotonic() - started)}")


def wheel_of(kind: Kind, world: Surroundings, terminal: Terminal) -> tuple[Path, str]:
    """The wheel of this kind, and whether it was compiled now or before. SetupFailed says why there is none."""
    compiler = find_compiler(world.variables)
    if compiler is None:
        raise SetupFailed(_NO_COMPILER, remedy=_GET_COMPILER)
    shelf = world.cache / "wheels" / wheel_key(world.repository, compiler, kind)
    if wheel := cached_wheel(shelf):
        return wheel, "compiled before"
    return _build(kind, shelf, world, terminal), "compiled"


def recipe_digest(repository: Path, kind: Kind = NATIVE) -> str:
    """Changes with what the repository and the CPU ask of the build, whichever compiler does it."""
    digest = hashlib.sha256("\0".join((*CMAKE_SETTINGS, *kind.features())).encode())
    for file in (repository / "requirements-llama.lock", repository / "requirements-build.lock", *kind.recipes):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def wheel_key(repository: Path, compiler: Compiler, kind: Kind = NATIVE) -> str:
    """Names a build: what would give another wheel gives another key."""
    digest = hashlib.sha256(f"{recipe_digest(repository, kind)} {compiler.version}".encode()).hexdigest()
    return f"llama-cp{sys.version_info.major}{sys.version_info.minor}-{digest[:16]}"


def cached_wheel(shelf: Path) -> Path | None:
    """The wheel that stands on `shelf`, if one was finished there."""
    return next(iter(sorted(shelf.glob("*.whl"))), None)


def parallel_jobs(cores: int, memory: Memory | None) -> int:
    """How many compilers may run at once: one a core, but each may take a gigabyte."""
    if memory is None:
        return cores
    return max(1, min(cores, memory.available // MEMORY_PER_JOB))


def _build(kind: Kind, shelf: Path, world: Surroundings, terminal: Terminal) -> Path:
    """Compile in a scratch folder and move the finished wheel onto `shelf`, whole or not at all."""
    shelf.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=shelf) as scratch:
        tools = Path(scratch) / "tools"
        environment.create(tools)
        packages.install(world.repository / "requirements-build.lock", tools, world, terminal, "build tools")
        built = _compile(kind, Path(scratch), tools, world, terminal)
        return Path(shutil.move(built, shelf / built.name))


def _compile(kind: Kind, scratch: Path, tools: Path, world: Surroundings, terminal: Terminal) -> Path:
    command = [
        *packages.pip(tools, "wheel"),
        "--verbose",
        "--no-deps",
        "--no-cache-dir",
        "--no-build-isolation",
        "--require-hashes",
        f"--wheel-dir={scratch}",
        f"--requirement={world.repository / 'requirements-llama.lock'}",
    ]
    terminal.say(f"  {TITLE} is compiled for {kind.made_for}; this happens once and takes a few minutes.")
    with terminal.bar(TITLE) as bar:
        outcome = tool.run(
            command,
            variables=_build_variables(kind, tools, scratch, world),
            log=world.log,
            on_line=NinjaReader(bar).read,
            on_tick=bar.tick,
        )
    wheel = cached_wheel(scratch)
    if outcome.code != 0 or wheel is None:
        raise SetupFailed(
            "llama.cpp did not compile.",
            remedy=f"The compiler's last lines are above, all of it is in {world.log}.",
            tail=list(outcome.tail),
        )
    return wheel


def _build_variables(kind: Kind, tools: Path, scratch: Path, world: Surroundings) -> dict[str, str]:
    settings = (*CMAKE_SETTINGS, f"-DCMAKE_PROJECT_INCLUDE={kind.recipes[-1]}")
    jobs = parallel_jobs(len(os.sched_getaffinity(0)), read_memory())
    return world.tool_variables(
        PATH=f"{tools / 'bin'}:{world.variables.get('PATH', os.defpath)}",
        CMAKE_ARGS=" ".join(map(shlex.quote, settings)),
        CMAKE_BUILD_PARALLEL_LEVEL=str(jobs),
        TMPDIR=str(scratch),
    )


def _check_it_loads(world: Surroundings) -> None:
    """Load the library once now, where a person sees it fail, and not first in a worker."""
    command: list[str | Path] = [environment.python_of(world.environment), "-P", "-c", _CHECK]
    outcome = tool.run(
        command, variables=world.tool_variables(), log=world.log, on_line=lambda _: None, on_tick=lambda: None
    )
    if outcome.code != 0:
        raise SetupFailed("llama.cpp was compiled, but does not load.", tail=list(outcome.tail))


class NinjaReader:
    """Reads ninja's `[n/m]` out of pip's verbose output."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar

    def read(self, line: str) -> None:
        """Take one line."""
        if match := _STEP.match(line):
            if not self._bar.total:
                self._bar.begin(int(match[2]))
            source = _SOURCE.search(line)
            self._bar.update(int(match[1]), source[1] if source else "")
        elif line.startswith("  Downloading"):
            self._bar.update(0, "fetching the source, 77 MB")
