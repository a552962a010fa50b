"""By what means each rung keeps its promises, in words for a person: the level's card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from spawner.cage import Promise, Rung
from spawner.nursery.landlock import SCOPE_ABI

_BY_WARDEN: Final = {
    Promise.CPU: "RLIMIT_CPU for a process; the warden adds up the tree every 50 ms",
    Promise.WALL: "the warden's clock: SIGTERM, after one second SIGKILL",
    Promise.MEMORY: "RLIMIT_AS for a process; the warden adds up the tree every 50 ms, with what sockets can hold",
    Promise.FILES: "RLIMIT_NOFILE for a process; the warden counts the folder's files every 150 ms",
    Promise.DISK: (
        "RLIMIT_FSIZE for a file; the warden adds up the folder every 150 ms, every 50 ms open files without a name, "
        "and keeps a part of the disk free"
    ),
    Promise.OUTPUT: "a pipe to the warden, who keeps head and tail and ends a flood",
    Promise.TREE: "the warden adopts orphans (PR_SET_CHILD_SUBREAPER) and kills until the kernel knows no child of it",
    Promise.ENVIRONMENT: "the environment is made anew: PATH, HOME, TMPDIR, LANG and what the task names",
}
_NO_SOCKETS: Final = "seccomp refuses to make a socket of any family; granted: IPv4 and IPv6, never Unix sockets"
_SANDLOCK: Final = {
    Promise.MEMORY: "sandlock counts what is mapped and ends who takes more; the warden adds up what the tree holds",
    Promise.PROCESSES: "sandlock refuses the fork; the warden counts every 50 ms",
    Promise.NETWORK: "sandlock refuses to connect, bind and send; granted: any address outside, TCP and UDP",
    Promise.READING: "sandlock (Landlock): its folder, the system's programs, what it was granted",
    Promise.WRITING: "sandlock (Landlock): its folder",
    Promise.PEEKING: "sandlock: no /proc, no ptrace out of the sandbox",
    Promise.SIGNALS: "sandlock (Landlock's scope)",
}


def means(rung: Rung, user: int | None, abi: int) -> Mapping[Promise, str]:
    """For each promise, by what it is kept. `user`: the daughters' first own uid; `abi`: Landlock's version."""
    found = dict(_BY_WARDEN)
    if rung is Rung.SANDLOCK:
        found |= _SANDLOCK
    else:
        found |= _ours(rung, user, abi)
    return {promise: found[promise] for promise in Promise}


def _ours(rung: Rung, user: int | None, abi: int) -> dict[Promise, str]:
    own = "a uid of its own"
    held = rung is Rung.LANDLOCK
    shared = "seccomp refuses to signal any but oneself"
    return {
        Promise.PROCESSES: (
            f"RLIMIT_NPROC of {own}; the warden counts every 50 ms"
            if user is not None
            else "the warden counts every 50 ms; RLIMIT_NPROC as a fence, since others of this user count as well"
        ),
        Promise.NETWORK: _NO_SOCKETS,
        Promise.READING: (
            "Landlock: the folder, system programs, what was granted; seccomp: no inotify"
            if held
            else "file permissions alone"
        ),
        Promise.WRITING: "Landlock: its folder; seccomp: no chmod by path" if held else "file permissions alone",
        Promise.PEEKING: (
            "Landlock: no /proc, no ptrace out of it; seccomp: no ptrace at all"
            if held
            else "seccomp: no ptrace; /proc shows what permissions leave open"
        ),
        Promise.SIGNALS: own if user is not None else "Landlock's scope" if held and abi >= SCOPE_ABI else shared,
    }
