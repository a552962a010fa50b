"""What a daughter may take, how it is held, and how it ended: the words between the supervisor and whatever runs tasks.

A `Cage` runs one program at a time for each call of `run` and lets nothing of it survive. Which cage there is was found
out by trying at start (`spawner/adapters/ladder.py`); its `Level` says what it enforces and by what, without flattery.
The nursery speaks in these words too, so this module imports next to nothing.
Verdicts are those of contest judges (`ioi/isolate`): CPU time and wall time apart, and why it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from config.errors import Invalid, TooLarge

PYTHON: Final = "python3"  # the cage knows which one: `Cage.run` takes this word for its clean interpreter
SHELL: Final = "/bin/sh"
MAX_CODE_BYTES: Final = 131_071  # Linux: MAX_ARG_STRLEN, the zero at the end not counted


class Promise(StrEnum):
    """What a level may hold a daughter to."""

    CPU = "cpu"  # seconds of CPU of all its processes
    WALL = "wall"  # seconds on the clock
    MEMORY = "memory"
    PROCESSES = "processes"
    FILES = "files"  # open files of a process, files in its folder
    DISK = "disk"  # bytes in its folder, bytes in a file
    OUTPUT = "output"
    NETWORK = "network"  # no socket of any kind unless granted
    READING = "reading"  # only its folder, what it was granted, and the system's programs
    WRITING = "writing"  # only its folder
    PEEKING = "peeking"  # not into other processes: /proc, ptrace
    SIGNALS = "signals"  # not to other processes
    TREE = "tree"  # nothing that it started outlives it
    ENVIRONMENT = "environment"  # nothing of ours in it


class Rung(StrEnum):
    """The rungs of the ladder, the strongest last."""

    RLIMITS = "rlimits"
    LANDLOCK = "landlock"
    SANDLOCK = "sandlock"


@dataclass(frozen=True, slots=True)
class Guard:
    """One promise, by what means it is kept here, and whether that is enforcement or only good manners."""

    promise: Promise
    by: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Level:
    """What runs daughters here: its card. `findings` say in sentences what was tried at start and what came of it.

    `user` is the uid that daughters have; None: that of the service.
    """

    rung: Rung
    guards: tuple[Guard, ...]
    findings: tuple[str, ...] = ()
    user: int | None = None

    @property
    def number(self) -> int:
        """3 for the strongest, 1 for the weakest."""
        return list(Rung).index(self.rung) + 1

    @property
    def open_promises(self) -> tuple[Promise, ...]:
        """What this level cannot hold a daughter to."""
        return tuple(guard.promise for guard in self.guards if not guard.kept)

    @property
    def is_fit_for_untrusted(self) -> bool:
        """Whether a task nobody has vouched for may run here: every promise is kept."""
        return {guard.promise for guard in self.guards if guard.kept} == set(Promise)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a daughter may take at most, with all that it starts. Threads count as processes where the kernel counts.

    `files`: open at once in a process. `file_mb`: of one file; `disk_mb` and `folder_files`: of all that its folder
    gains. `output_bytes`: what is kept of its output (head and tail); it may say much more
    (`FLOOD`), then it is ended.
    """

    cpu_sec: float = 60.0
    wall_sec: float = 300.0
    memory_mb: int = 512
    processes: int = 32
    files: int = 256
    file_mb: int = 64
    disk_mb: int = 256
    folder_files: int = 4096
    output_bytes: int = 1 << 20

    def __post_init__(self) -> None:
        wrong = [name for name in self.__slots__ if getattr(self, name) <= 0]
        if wrong:
            raise Invalid(f"A daughter's limits must be above zero: {', '.join(wrong)}.")


FLOOD: Final = 64  # times what is kept: who says more than that means harm, or is lost


@dataclass(frozen=True, slots=True)
class Task:
    """One program to run. `environment` is all it gets, beside PATH, HOME, TMPDIR and LANG. `reads` are files and
    folders beyond the system's that it may look at. `dry_run`: in a copy of `folder`, which is compared and removed."""

    argv: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    network: bool = False
    limits: Limits = Limits()
    reads: tuple[Path, ...] = ()
    dry_run: bool = False


class Change(StrEnum):
    """What a dry run would have done to a file."""

    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A file or link of the folder, by its path in it; a folder only where it came or went empty."""

    path: str
    change: Change


class Ending(StrEnum):
    """How a daughter ended."""

    EXITED = "exited"  # by itself; `exit_code` says how
    SIGNAL = "signal"  # of a signal that was not ours
    TIMEOUT = "timeout"  # wall time
    CPU = "cpu"
    MEMORY = "memory"
    OUTPUT = "output"  # it flooded
    DISK = "disk"  # too many files or bytes in its folder, or a file too large (SIGXFSZ)
    PROCESSES = "processes"  # it was ended for their number; where the kernel refuses a fork, it goes on
    KILLED = "killed"  # on demand
    REFUSED = "refused"  # it never began; `detail` says why


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a daughter ended and what it took. `max_rss_mb` is the most that its processes held together, as sampled, or
    the largest of them as the kernel saw it, whichever is more. `detail` is a sentence for a person."""

    kind: Ending
    exit_code: int | None = None
    signal: int | None = None
    cpu_sec: float = 0.0
    wall_sec: float = 0.0
    max_rss_mb: float = 0.0
    output_truncated: bool = False
    changed_files: tuple[ChangedFile, ...] = ()
    detail: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether it came to its own end and found all well."""
        return self.kind is Ending.EXITED and self.exit_code == 0


class Cage(Protocol):
    """Runs tasks, each in its own tree of processes, any number at once."""

    level: Level

    async def run(self, task: Task, output: Path, started: Callable[[int], None]) -> Verdict:
        """Run `task` to its end, whatever that is; nothing of it is left when this returns.

        `output` becomes a folder of segments (`spawner/adapters/sayings.py`), readable while it runs: stdout and stderr
        in the order they came. `started` is called once with the pid, when the program has begun; not for `refused`.
        When the caller is cancelled the tree is killed first. Raises nothing for what a task does: that is a verdict.
        """

    async def kill(self, pid: int) -> bool:
        """End the daughter whose pid `started` told, with all that it started; its `run` then gives `killed`.

        Asks with SIGTERM first and insists within two seconds. False if there is no such daughter (any more).
        """

    async def close(self) -> None:
        """End every daughter and what served them."""


def argv_of(task_type: str, code: str) -> tuple[str, ...]:
    """How a task of this type (`python`, `shell`) is run: in a clean interpreter that knows no package of the fleet.

    Invalid for another type and for text that no argument can hold, TooLarge for code beyond what an argument takes.
    """
    before = {"python": (PYTHON, "-I", "-S", "-B", "-u", "-c"), "shell": (SHELL, "-c")}.get(task_type)
    if before is None:
        raise Invalid(f"Tasks are of type python or shell, not {task_type!r}.")
    if "\x00" in code:
        raise Invalid("The code holds a null character.")
    size = len(code.encode("utf-8", "replace"))
    if size > MAX_CODE_BYTES:
        raise TooLarge(
            f"The code has {size} bytes; {MAX_CODE_BYTES} can be run. Put the rest into files of its folder.",
            extra={"limit_bytes": MAX_CODE_BYTES},
        )
    return (*before, code)
