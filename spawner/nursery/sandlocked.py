"""The strongest rung: sandlock (Landlock, a seccomp filter, and a supervisor that answers for system calls).

Its supervisor are threads of the process that starts the sandbox, so each daughter gets a process for that: the keeper,
between her and the warden. It ends as she did.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from typing import Any

from spawner.cage import Task
from spawner.nursery import confine, kernel, landlock, seccomp


def available() -> str:
    """Why sandlock cannot be had; empty where it can. Loads it, for all keepers to be forked."""
    try:
        import sandlock  # noqa: PLC0415 - only where this rung is tried
    except Exception as error:  # border: whatever ails somebody else's library, there are other rungs
        return f"sandlock cannot be loaded: {error}"
    have, want = sandlock.landlock_abi_version(), sandlock.min_landlock_abi()
    return "" if have >= want else f"sandlock wants Landlock of version {want}, this kernel has {max(have, 0)}"


def keep(task: Task, hold: confine.Hold, birth: int, go: Callable[[], None]) -> int:
    """Run the task in a sandbox to its end, once `go` returns; tells its pid on `birth`. Returns the exit code, or
    minus the signal."""
    os.chdir(task.folder)
    confine.limit(task.limits, hold)
    if hold.user is not None:
        confine.drop_to(hold.user)
        kernel.be_visible()  # to its own supervisor threads, which look into the daughter's memory
    kernel.die_with_parent(signal.SIGKILL)
    os.nice(confine.NICENESS)
    _hold_the_keeper(task.network)
    import shutil  # noqa: PLC0415 - it brings three libraries, which each daughter of another rung would have to let go

    if shutil.which(task.argv[0], path=confine.environment(task)["PATH"]) is None:  # sandlock would begin all the same
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), task.argv[0])
    go()
    try:
        process = _sandbox(task, hold).popen(list(task.argv))
    except RuntimeError as error:
        raise OSError(
            f"{error}; it says no more than that. In a container it wants SYS_PTRACE (pidfd_getfd)"
        ) from error
    os.write(birth, f"{process.pid}\n".encode())
    os.close(birth)
    result = process.wait()
    if result.signal and result.signal > 0:
        return -int(result.signal)
    return -int(signal.SIGKILL) if result.exit_code is None or result.exit_code < 0 else int(result.exit_code)


def _hold_the_keeper(network: bool) -> None:
    """What sandlock's supervisor does on the daughter's behalf, it must not do to others: a Landlock domain keeps it
    from looking into processes outside, and she inherits a filter for what sandlock lets pass."""
    kernel.gain_nothing_by_exec()
    kernel.landlock_restrict(landlock.domain(kernel.landlock_abi()))
    program = seccomp.keepers_filter(network=network)
    if program is not None:
        kernel.filter_system_calls(program)


def _sandbox(task: Task, hold: confine.Hold) -> Any:
    import sandlock  # noqa: PLC0415 - loaded by `available`

    files = landlock.files_of(task.folder, task.reads, hold.interpreter, task.network)
    return sandlock.Sandbox(
        fs_readable=[str(path) for path in files.readable if path.exists()],
        fs_writable=[str(path) for path in files.writable if path.exists()],
        net_allow=["*:*"] if task.network else [],
        max_memory=f"{task.limits.memory_mb}M",
        max_processes=task.limits.processes,
        max_open_files=task.limits.files,
        extra_deny_syscalls=_also_refused(task, hold),
        clean_env=True,
        env=confine.environment(task),
        cwd=str(task.folder),
    )


def _also_refused(task: Task, hold: confine.Hold) -> list[str]:
    """What sandlock would let pass and our own filter does not; and to listen, which needs no `bind`."""
    shares_user = hold.user is None
    refused = seccomp.refused_outright(seccomp.Strictness(task.network, shares_user, signals_open=False))
    return refused if task.network else [*refused, "listen"]
