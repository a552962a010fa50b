"""What a process does to itself between fork and exec, so that the program it becomes is held.

Everything here is for ever and for all descendants. It comes in two parts, because the first takes the kernel some time
and needs no task: `hold_back`, which can be done while nobody waits, and `become`, whose every call the filter of the
first lets pass. The order matters: what needs rights comes before they are given up.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spawner.cage import Limits, Rung, Task
from spawner.nursery import kernel, landlock, seccomp

_MIB: Final = 1 << 20
_SPACE_FACTOR: Final = 2  # address space is cheap and more is taken than used; the warden counts what is resident
_SPACE_EXTRA_MB: Final = 128
# Where the user is shared, other daughters count for it too, and those of other containers, which /proc does not show.
# So the kernel's limit is a fence against bombs alone, and never a low one; the warden counts each tree.
_FENCE: Final = 16
_LEAST_FENCE: Final = 1024
NICENESS: Final = 10  # the fleet answers first
PATH: Final = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True)
class Hold:
    """How one daughter is held. `user`: her own uid, None for that of the service. `siblings`: processes and threads
    that already count for that uid (RLIMIT_NPROC is the user's, not the tree's)."""

    rung: Rung
    user: int | None
    siblings: int
    interpreter: Path | None


def hold_back(hold: Hold, *, network: bool) -> int | None:
    """Hold this process, which has been attached, as any task of this kind is held: the filter of system calls. Returns
    the beginning of its Landlock rules, None for a rung without."""
    rules = landlock.ruleset(network=network, abi=kernel.landlock_abi()) if hold.rung is Rung.LANDLOCK else None
    kernel.gain_nothing_by_exec()
    program = seccomp.filter_for(_strictness(network, hold), os.getpid())
    if program is not None:
        kernel.filter_system_calls(program)
    return rules


def become(task: Task, hold: Hold, rules: int | None, go: Callable[[], None]) -> None:
    """Turn this process, which was held back with `rules`, into the task's program; returns only by raising OSError.
    `go` returns when the program may begin: all else is done before, while the warden gets ready as well."""
    os.chdir(task.folder)
    limit(task.limits, hold)
    if rules is not None:
        files = landlock.files_of(task.folder, task.reads, hold.interpreter, task.network)
        landlock.allow(rules, files, abi=kernel.landlock_abi())
    if hold.user is not None:
        drop_to(hold.user)
    kernel.die_with_parent(signal.SIGKILL)
    os.nice(NICENESS)
    if rules is not None:
        kernel.landlock_restrict(rules)
    variables = environment(task)
    go()
    os.execvpe(task.argv[0], task.argv, variables)


def attach(output: int) -> None:
    """A session of its own, nothing to read, one pipe for all that is said, usual signals."""
    os.setsid()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores; for others see the nursery's `main`
        signal.signal(number, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.umask(0o077)


def limit(limits: Limits, hold: Hold) -> None:
    """The kernel's own limits, for each process (setrlimit(2)); the warden sees to those of the whole tree."""
    take_the_blame()
    cpu = max(1, round(limits.cpu_sec + 0.5))
    fixed = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: limits.file_mb * _MIB,
        resource.RLIMIT_NOFILE: limits.files,
        resource.RLIMIT_MEMLOCK: 64 << 10,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
    if hold.rung is not Rung.SANDLOCK:  # which counts both itself, and needs room for its own threads
        fixed[resource.RLIMIT_AS] = (limits.memory_mb * _SPACE_FACTOR + _SPACE_EXTRA_MB) * _MIB
        fixed[resource.RLIMIT_NPROC] = fence(limits, hold)
    for kind, value in fixed.items():
        hard = resource.getrlimit(kind)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (most, most))


def fence(limits: Limits, hold: Hold) -> int:
    """How many processes and threads the kernel lets the user have."""
    if hold.user is not None:
        return limits.processes
    return hold.siblings + max(_FENCE * limits.processes, _LEAST_FENCE)


def take_the_blame() -> None:
    """Where memory runs out for all, have the kernel end daughters first (proc_pid_oom_score_adj(5))."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as said:
        said.write(b"1000")


def drop_to(user: int) -> None:
    """Give up root for good."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def environment(task: Task) -> dict[str, str]:
    """All the variables that a daughter gets: nothing of ours."""
    folder = str(task.folder)
    return {"PATH": PATH, "HOME": folder, "TMPDIR": folder, "LANG": "C.UTF-8", **task.environment}


def prepare(rung: Rung, user: int | None, network: bool) -> None:
    """Think beforehand, for all who are forked afterwards, what is the same for each of them."""
    seccomp.filter_for(_strictness(network, Hold(rung, user, 0, None)), 0)
    landlock.open_system()
    kernel.has_swap()


def _strictness(network: bool, hold: Hold) -> seccomp.Strictness:
    scoped = hold.rung is Rung.LANDLOCK and kernel.landlock_abi() >= landlock.SCOPE_ABI
    shares_user = hold.user is None
    return seccomp.Strictness(network, shares_user, signals_open=shares_user and not scoped)
