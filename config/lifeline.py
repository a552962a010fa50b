"""Ties processes together, so that nothing survives what it was started for (Linux, `prctl(2)`).

Every process of the fleet dies with its parent: the kernel sends it SIGKILL, so even a `kill -9` of the
parent leaves no orphan. A room that starts a process of its own passes `die_with_parent` as
`preexec_fn`, or lets the child call `tie_to(parent_pid)` first thing.
"""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_M_ARENA_MAX = -8
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """From now on, SIGKILL this process when the thread that forked it ends. It does not reach grandchildren."""
    _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))


def tie_to(parent_pid: int) -> None:
    """`die_with_parent`, for a child that knows its parent; a parent already gone ends this process at once."""
    die_with_parent()
    if os.getppid() != parent_pid:
        os._exit(1)


def adopt_orphans() -> None:
    """Let descendants whose parent died become children of this process, not of init."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def name_process(name: str) -> None:
    """Show this process as `name` in `ps -o comm` and `top`; the kernel keeps 15 characters."""
    _prctl(_PR_SET_NAME, ctypes.create_string_buffer(name.encode()[:15]))


def one_malloc_arena() -> None:
    """Keep glibc from giving every thread a heap of its own: less memory, and one process here has few threads."""
    mallopt = getattr(_libc, "mallopt", None)
    if mallopt is not None:  # glibc only
        mallopt(_M_ARENA_MAX, 1)


def release_free_memory() -> None:
    """Give the heap's free pages back to the kernel, so that forked children do not carry them."""
    malloc_trim = getattr(_libc, "malloc_trim", None)
    if malloc_trim is not None:  # glibc only
        malloc_trim(0)


def _prctl(option: int, value: object) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")
