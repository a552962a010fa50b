"""Which system calls a daughter may make (seccomp(2)): the filter, a program of the kernel's BPF, made of a table.

A list of what is refused, so that ordinary programs run: all that reaches beyond the process where Landlock and file
permissions have no say. Only numbers can be looked at, not what a pointer points to; where that would matter, the call
is refused as a whole.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

from spawner.nursery.syscalls import ARCHITECTURES

_AF_INET, _AF_INET6, _AF_NETLINK = 2, 10, 16
_SOCK_STREAM, _SOCK_SEQPACKET, _SOCK_KIND = 1, 5, 0xF
_NEW_NAMESPACES: Final = tuple(1 << bit for bit in (17, 25, 26, 27, 28, 29, 30))  # CLONE_NEW* of clone(2)
_EVERYBODY: Final = 0xFFFF_FFFF  # kill(-1)
_X32_BIT: Final = 0x4000_0000
_LOAD, _JUMP, _JUMP_EQUAL, _JUMP_GE, _AND, _RETURN = 0x20, 0x05, 0x15, 0x35, 0x54, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF_0000, 0x0005_0000, 0x8000_0000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_FEW: Final = 4  # calls that are compared one by one


@dataclass(frozen=True, slots=True)
class Rule:
    """Refuse `call`: always; or, of argument number `argument` masked, where it is in `values` (`only` False: where it
    is not); with `beside` only if another argument, by its number, has that value as well. Arguments are looked at as
    32 bits, which is what the kernel itself makes of all that stand here."""

    call: str
    answer: int = errno.EPERM
    argument: int | None = None
    mask: int = 0xFFFF_FFFF
    values: tuple[int, ...] = ()
    only: bool = True
    beside: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Strictness:
    """What a filter has to make up for. `shares_user`: the daughter's uid is also others', so what permissions allow
    among equals is refused. `signals_open`: neither uid nor Landlock keeps her from sending signals to others."""

    network: bool
    shares_user: bool
    signals_open: bool


# It tells the names made in folders that Landlock does not let her list; programs look again and again instead.
_WATCHING: Final = ("inotify_init", "inotify_init1", "inotify_add_watch")
_ABSENT: Final = (  # answered as if this kernel had never heard of them, so that programs take another way
    "io_uring_setup", "io_uring_enter", "io_uring_register", "clone3", "memfd_create", "memfd_secret", *_WATCHING,
)  # fmt: skip
_REFUSED: Final = (
    # into other processes
    "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "process_madvise", "process_mrelease",
    "migrate_pages", "move_pages",
    # around paths and namespaces
    "mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick",
    "mount_setattr", "unshare", "setns", "name_to_handle_at", "open_by_handle_at", "fanotify_init", "quotactl",
    "quotactl_fd",
    # memory and messages that outlive a process or are in no account
    "shmget", "semget", "msgget", "mq_open", "add_key", "request_key", "keyctl", "vmsplice",
    # the machine
    "bpf", "perf_event_open", "userfaultfd", "kexec_load", "kexec_file_load", "init_module", "finit_module",
    "delete_module", "reboot", "swapon", "swapoff", "acct", "syslog", "ioperm", "iopl", "modify_ldt", "vhangup",
    "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname",
)  # fmt: skip
_BY_PATH: Final = (  # on whatever permissions allow: Landlock does not look at these, or not in every version
    "setxattr", "lsetxattr", "setxattrat", "removexattr", "lremovexattr", "removexattrat",
    "utime", "utimes", "futimesat", "truncate", "file_setattr",
)  # fmt: skip
_AMONG_EQUALS: Final = ("chmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchownat")  # on whatever one owns
_SET_OWNER: Final = (8, 10, 15)  # fcntl: F_SETOWN, F_SETSIG, F_SETOWN_EX
_TYPE_FOR_OTHERS: Final = (0x5412, 0x541C, 0x8901, 0x8902)  # ioctl: TIOCSTI, TIOCLINUX, FIOSETOWN, SIOCSPGRP
_TO_OTHERS: Final = (
    Rule("fcntl", argument=1, values=_SET_OWNER),
    Rule("ioctl", argument=1, values=_TYPE_FOR_OTHERS),
    *(Rule(call, argument=0, values=(0,), only=False) for call in ("prlimit64", "sched_setaffinity", "setpriority")),
    Rule("setpriority", argument=1, values=(0,), only=False),
    Rule("kill", argument=0, values=(_EVERYBODY,)),
)
_RESERVE: Final = (0x4030_5828, 0x4030_5829, 0x4030_582A, 0x4030_582B, 0x4030_5839)  # ioctl: FS_IOC_RESVSP and its kin
_SOL_SOCKET: Final = 1
_BUFFERS: Final = (7, 8, 32, 33)  # setsockopt: SO_SNDBUF, SO_RCVBUF, and the same by force
_SET_PIPE_SIZE: Final = 1031  # fcntl: F_SETPIPE_SZ
_CLONE_THREAD, _CLONE_FILES, _UNSHARE_FILES = 1 << 16, 1 << 10, 2  # clone(2), close_range(2)
# What the warden counts must be all that there is: memory of the kernel's, and files, in places where nobody looks.
_UNSEEN: Final = (
    # Room behind a file's end, which RLIMIT_FSIZE is not asked about; with mode 0 it is.
    Rule("fallocate", errno.EOPNOTSUPP, 1, values=(0,), only=False),
    Rule("ioctl", errno.ENOTTY, 1, values=_RESERVE),
    Rule("setsockopt", argument=2, values=_BUFFERS, beside=(1, _SOL_SOCKET)),
    Rule("fcntl", argument=1, values=(_SET_PIPE_SIZE,)),
    # Open files of one thread alone: /proc shows those of the process.
    Rule("clone", argument=0, mask=_CLONE_THREAD | _CLONE_FILES, values=(_CLONE_THREAD,)),
    Rule("close_range", errno.EINVAL, 2, _UNSHARE_FILES, (_UNSHARE_FILES,)),
)
# A descriptor on its way between two processes (SCM_RIGHTS) is in no table of either.
_IN_FLIGHT: Final = tuple(Rule(call, errno.EACCES) for call in ("sendmsg", "sendmmsg"))
_SET_DUMPABLE: Final = 4  # prctl: who is not dumpable hides its open files from a warden without rights
_SCHEDULING: Final = ("ioprio_set", "sched_setscheduler", "sched_setparam", "sched_setattr")
_SIGNALS: Final = ("tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal")


def rules_for(strictness: Strictness, pid: int) -> list[Rule]:
    """All that is refused; `pid` is that of the process which installs the filter."""
    families = (_AF_INET, _AF_INET6, _AF_NETLINK) if strictness.network else ()
    rules = [Rule(call, errno.ENOSYS) for call in _ABSENT] + [Rule(call) for call in (*_REFUSED, *_BY_PATH)]
    rules += [
        Rule("socket", errno.EACCES, 0, values=families, only=False),
        # A pair of datagram sockets could be sent to any Unix address; a connected stream cannot.
        Rule("socketpair", errno.EACCES, 1, _SOCK_KIND, (_SOCK_STREAM, _SOCK_SEQPACKET), only=False),
        *(Rule("clone", argument=0, mask=flag, values=(flag,)) for flag in _NEW_NAMESPACES),
        *_TO_OTHERS,
        *_UNSEEN,
        Rule("prctl", argument=0, values=(_SET_DUMPABLE,)),
    ]
    if not strictness.network:  # with it, name servers are asked by them
        rules += _IN_FLIGHT
    if strictness.shares_user:
        rules += [Rule(call) for call in (*_AMONG_EQUALS, *_SCHEDULING)]
    if strictness.signals_open:
        rules += [Rule(call) for call in _SIGNALS]
        rules += [Rule(call, argument=0, values=(0, pid), only=False) for call in ("kill", "tgkill")]
    return rules


def filter_for(strictness: Strictness, pid: int) -> bytes | None:
    """The filter of the process `pid`; the same for all where signals need none. None for an unknown architecture."""
    return _filter(strictness, pid if strictness.signals_open else 0)


@cache
def _filter(strictness: Strictness, pid: int) -> bytes | None:
    return program(rules_for(strictness, pid))


def keepers_filter(*, network: bool) -> bytes | None:
    """What the keeper of a sandbox can do without, and hands down: others' limits, signals to everybody or by way of a
    file, keys typed for them; what nobody counts; and watching folders."""
    rules = (*_TO_OTHERS, *_UNSEEN, *(Rule(call, errno.ENOSYS) for call in _WATCHING))
    return program(rules if network else (*rules, *_IN_FLIGHT))


def refused_outright(strictness: Strictness) -> list[str]:
    """The calls that are refused whatever their arguments; without those that are answered as absent."""
    return [rule.call for rule in rules_for(strictness, 0) if rule.argument is None and rule.answer == errno.EPERM]


def program(rules: Iterable[Rule], machine: str | None = None) -> bytes | None:
    """The filter as the kernel takes it; None for an architecture whose numbers are not known here."""
    known = ARCHITECTURES.get(machine or os.uname().machine)
    if known is None:
        return None
    architecture, numbers = known
    bodies: dict[int, list[bytes]] = {}
    for rule in rules:
        if rule.call in numbers:
            bodies.setdefault(numbers[rule.call], []).extend(_lines_of(rule))
    lines = [
        _line(_LOAD, _ARCHITECTURE),
        _line(_JUMP_EQUAL, architecture, yes=1),
        _line(_RETURN, _KILL),  # another architecture's calls on the same kernel have other numbers
        _line(_LOAD, _NUMBER),
        _line(_JUMP_GE, _X32_BIT, no=1),
        _line(_RETURN, _ERRNO | errno.ENOSYS),
        *_search(sorted(bodies.items())),
    ]
    return b"".join(lines)


def _search(bodies: list[tuple[int, list[bytes]]]) -> list[bytes]:
    """Find what is to be done about the number that is loaded, by halves: a filter is walked for each call that it has
    an argument to look at, and when it is installed, for every number that there is."""
    if len(bodies) > _FEW:
        middle = len(bodies) // 2
        lower, upper = _search(bodies[:middle]), _search(bodies[middle:])
        return [_line(_JUMP_GE, bodies[middle][0], no=1), _line(_JUMP, len(lower)), *lower, *upper]
    lines = []
    for number, body in bodies:
        lines += [_line(_JUMP_EQUAL, number, no=len(body) + 1), *body, _line(_RETURN, _ALLOW)]
    return [*lines, _line(_RETURN, _ALLOW)]


def _lines_of(rule: Rule) -> list[bytes]:
    """Refuse, or go on behind the last of these lines."""
    refuse = _line(_RETURN, _ERRNO | rule.answer)
    if rule.argument is None:
        return [refuse]
    count = len(rule.values)
    # A hit jumps behind the rest of the comparisons: to the refusal, or over it.
    tests = [
        _line(_JUMP_EQUAL, value, yes=count - index - 1 + (0 if rule.only else 1))
        for index, value in enumerate(rule.values)
    ]
    if rule.only:  # no hit: over the refusal
        tests[-1] = _line(_JUMP_EQUAL, rule.values[-1], no=1)
    body = [_line(_LOAD, _ARGUMENTS + 8 * rule.argument), _line(_AND, rule.mask), *tests, refuse]
    if rule.beside is None:
        return body
    other, value = rule.beside  # otherwise over all of it
    return [_line(_LOAD, _ARGUMENTS + 8 * other), _line(_JUMP_EQUAL, value, no=len(body)), *body]


def _line(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    """One instruction, struct sock_filter: `yes` and `no` say how many lines a comparison skips."""
    return struct.pack("=HBBI", code, yes, no, value)
