"""Calls to the kernel that Python's library does not have (Linux): prctl(2), landlock(7), seccomp(2)."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_SET_PDEATHSIG, _SET_DUMPABLE, _SET_SECCOMP, _SET_CHILD_SUBREAPER, _SET_NO_NEW_PRIVS = 1, 4, 22, 36, 38
_SECCOMP_MODE_FILTER = 2
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_ABI_QUESTION = 1
_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    """struct sock_fprog of <linux/filter.h>."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def die_with_parent(signal_number: int) -> None:
    """Have this process sent a signal when its parent dies; a change of user forgets it."""
    _prctl(_SET_PDEATHSIG, signal_number)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies, however far it went (setsid, double fork)."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def be_visible() -> None:
    """Let processes of the same user look into this one again, which a change of user forbids."""
    _prctl(_SET_DUMPABLE, 1)


@contextmanager
def seeing_as(user: int) -> Iterator[None]:
    """Have files and processes looked at as that user, and the group of its number, would see them (setfsuid(2))."""
    _libc.setfsgid(user)
    _libc.setfsuid(user)
    try:
        yield
    finally:
        _libc.setfsuid(os.geteuid())
        _libc.setfsgid(os.getegid())


@cache
def has_swap() -> bool:
    """Whether memory may be where RSS does not count it. Asked once, before anything is forked."""
    with open("/proc/meminfo", "rb") as lines:
        return any(line.startswith(b"SwapTotal:") and int(line.split()[1]) > 0 for line in lines)


def gain_nothing_by_exec() -> None:
    """Make set-user-id programs ordinary ones, for this process and its descendants for ever."""
    _prctl(_SET_NO_NEW_PRIVS, 1)


def filter_system_calls(program: bytes) -> None:
    """Install a seccomp filter, for this process and its descendants for ever. `program`: packed struct sock_filter."""
    filled = _Program(len(program) // 8, program)
    _prctl(_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(filled))


def landlock_abi() -> int:
    """The version of Landlock that this kernel has; 0 where it has none or may not be used."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(_ABI_QUESTION))))


def landlock_ruleset(attributes: bytes) -> int:
    """A new ruleset's file descriptor."""
    return _call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0))


def landlock_rule(ruleset: int, kind: int, attributes: bytes) -> None:
    """Add a rule to a ruleset."""
    _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(kind), attributes, ctypes.c_uint(0))


def landlock_restrict(ruleset: int) -> None:
    """Hold this process and its descendants to a ruleset, for ever."""
    _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0))


def _call(number: int, *arguments: object) -> int:
    answer = int(_libc.syscall(number, *arguments))
    if answer < 0:
        raise _error(f"system call {number}")
    return answer


def _prctl(option: int, *arguments: int) -> None:
    padded = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    if _libc.prctl(option, *padded) != 0:
        raise _error(f"prctl {option}")


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")
