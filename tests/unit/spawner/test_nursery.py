"""The nursery's pure parts: judgement, the wire, the output's folder, the filter of system calls."""

from __future__ import annotations

import errno
import signal
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.cage import FLOOD, Ending, Limits, Rung, Task, Verdict
from spawner.nursery import confine, folder, order, seccomp
from spawner.nursery.limits import GRACE_SEC, Sample, broken, meaning
from spawner.nursery.seccomp import Strictness
from spawner.nursery.segments import Segments
from spawner.nursery.syscalls import ARCHITECTURES

LIMITS = Limits(cpu_sec=10, wall_sec=20, memory_mb=100, processes=5, folder_files=50, disk_mb=30, output_bytes=1000)
WITHIN = Sample(wall_sec=1, cpu_sec=1, memory_mb=1, processes=1, files=1, disk_mb=1, said_bytes=1)
STRICT = Strictness(network=False, shares_user=True, signals_open=True)
ARCHITECTURE, X86 = ARCHITECTURES["x86_64"]
ALLOWED, KILLED = 0x7FFF_0000, 0x8000_0000


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"wall_sec": 20.1}, Ending.TIMEOUT),
        ({"cpu_sec": 10.1}, Ending.CPU),
        ({"memory_mb": 101}, Ending.MEMORY),
        ({"processes": 6}, Ending.PROCESSES),
        ({"files": 51}, Ending.DISK),
        ({"disk_mb": 31}, Ending.DISK),
        ({"said_bytes": 1000 * FLOOD + 1}, Ending.OUTPUT),
        ({"hides": True}, Ending.DISK),
        ({"free_mb": 99, "floor_mb": 100}, Ending.DISK),
    ],
)
def test_each_limit_is_judged(change: dict[str, Any], kind: Ending) -> None:
    assert broken(LIMITS, WITHIN) is None
    sentence = broken(LIMITS, replace(WITHIN, **change))
    assert sentence is not None
    assert sentence.kind is kind
    assert sentence.grace_sec == (GRACE_SEC if kind is Ending.TIMEOUT else 0)


@pytest.mark.parametrize(
    ("status", "cpu_sec", "kind"),
    [
        (0, 1, Ending.EXITED),
        (3, 1, Ending.EXITED),
        (-signal.SIGSEGV, 1, Ending.SIGNAL),
        (-signal.SIGKILL, 1, Ending.SIGNAL),
        (-signal.SIGKILL, 10.2, Ending.CPU),
        (-signal.SIGXCPU, 10, Ending.CPU),
        (-signal.SIGXFSZ, 1, Ending.DISK),
        (-40, 1, Ending.SIGNAL),
    ],
)
def test_each_way_of_ending_has_a_meaning(status: int, cpu_sec: float, kind: Ending) -> None:
    found, code, number, detail = meaning(status, LIMITS, cpu_sec)
    assert found is kind
    assert (code, number) == ((status, None) if status >= 0 else (None, -status))
    assert detail


def test_an_order_arrives_as_it_was_sent() -> None:
    task = Task(("sh", "-c", 'echo "ä\n"'), Path("/w"), {"A": "b"}, network=True, limits=LIMITS, reads=(Path("/r"),))
    sent = order.Order("7", Rung.LANDLOCK, task, Path("/o"), user=61_184, interpreter=Path("/usr"))
    assert order.read(sent.line()) == sent
    assert order.read(order.Kill("7").line()) == order.Kill("7")
    assert sent.line().count(b"\n") == 1


def test_a_verdict_is_told_in_one_write() -> None:
    verdict = Verdict(Ending.SIGNAL, signal=11, cpu_sec=1.5, detail="ü" * 10_000)
    line = order.ended("7", verdict)
    assert len(line) <= 4096, "a pipe takes no more at once (PIPE_BUF)"
    assert line.endswith(b"\n")


@given(pieces=st.lists(st.binary(max_size=700), max_size=40), cap=st.integers(8, 1000))
def test_head_and_tail_of_the_output_are_kept(
    pieces: list[bytes], cap: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("output")
    segments = Segments(folder, cap)
    for piece in pieces:
        segments.write(piece)
    segments.close()
    whole = b"".join(pieces)
    kept = {int(path.name): path.read_bytes() for path in folder.iterdir()}
    assert all(whole[start : start + len(data)] == data for start, data in kept.items())
    assert sum(map(len, kept.values())) == len(whole) - segments.dropped
    assert kept[0] == whole[: cap // 2]
    last = max(kept)
    assert last + len(kept[last]) == len(whole) == segments.total
    assert sum(map(len, kept.values())) <= max(cap + cap // 2, 16)


def verdict_of(program: bytes, number: int, *arguments: int, architecture: int = ARCHITECTURE) -> int:
    """What the kernel would answer: the filter, run as classic BPF is (the few instructions that it has)."""
    filled = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=IIQ6Q", number, architecture, 0, *(value & 2**64 - 1 for value in filled))
    lines = list(struct.iter_unpack("=HBBI", program))
    at = loaded = 0
    while True:
        code, yes, no, value = lines[at]
        at += 1
        match code:
            case 0x20:
                (loaded,) = struct.unpack_from("=I", data, value)
            case 0x54:
                loaded &= value
            case 0x15:
                at += yes if loaded == value else no
            case 0x35:
                at += yes if loaded >= value else no
            case 0x05:
                at += value
            case 0x06:
                return int(value)
            case _:
                raise AssertionError(f"instruction {code:#x}")


def refused(strictness: Strictness, call: str, *arguments: int) -> bool:
    program = seccomp.program(seccomp.rules_for(strictness, 42), "x86_64")
    assert program is not None
    return verdict_of(program, X86[call], *arguments) != ALLOWED


OPEN = Strictness(network=True, shares_user=False, signals_open=False)


@pytest.mark.parametrize(
    ("strictness", "call", "arguments", "expected"),
    [
        (STRICT, "socket", (2, 1), True),
        (STRICT, "socket", (1, 1), True),
        (STRICT, "socketpair", (1, 1), False),
        (STRICT, "socketpair", (1, 1 | 0o2000000), False),
        (STRICT, "socketpair", (1, 2), True),
        (OPEN, "socket", (2, 1), False),
        (OPEN, "socket", (10, 2), False),
        (OPEN, "socket", (1, 1), True),
        (OPEN, "socket", (17, 3), True),
        (STRICT, "clone", (17,), False),
        (STRICT, "clone", (0x1000_0000 | 17,), True),
        (STRICT, "clone", (0x0002_0000 | 17,), True),
        (STRICT, "clone3", (), True),
        (STRICT, "kill", (42, 9), False),
        (STRICT, "kill", (43, 9), True),
        (STRICT, "kill", (-1, 9), True),
        (OPEN, "kill", (43, 9), False),
        (OPEN, "kill", (-1, 9), True),
        (STRICT, "prlimit64", (0,), False),
        (STRICT, "prlimit64", (7,), True),
        (STRICT, "fcntl", (3, 2), False),
        (OPEN, "fcntl", (3, 8), True),
        (OPEN, "ioctl", (0, 0x5412), True),
        (OPEN, "ioctl", (0, 0x5401), False),
        (STRICT, "ptrace", (), True),
        (STRICT, "chmod", (), True),
        (OPEN, "chmod", (), False),
        (OPEN, "setxattr", (), True),
        (STRICT, "io_uring_setup", (), True),
        (STRICT, "fallocate", (3, 0, 0, 1), False),
        (STRICT, "fallocate", (3, 1, 0, 1), True),
        (STRICT, "ioctl", (3, 0x4030_582A), True),
        (STRICT, "setsockopt", (3, 1, 7), True),
        (STRICT, "setsockopt", (3, 1, 33), True),
        (STRICT, "setsockopt", (3, 1, 2), False),
        (OPEN, "setsockopt", (3, 6, 8), False),
        (STRICT, "fcntl", (3, 1031), True),
        (STRICT, "clone", (0x003D_0F00,), False),
        (STRICT, "clone", (0x003D_0F00 & ~0x400,), True),
        (STRICT, "close_range", (3, 9, 0), False),
        (STRICT, "close_range", (3, 9, 4), False),
        (STRICT, "close_range", (3, 9, 2), True),
        (STRICT, "sendmsg", (), True),
        (OPEN, "sendmsg", (), False),
        (STRICT, "prctl", (4, 0), True),
        (STRICT, "prctl", (38, 1), False),
        (OPEN, "sched_setaffinity", (0,), False),
        (OPEN, "sched_setaffinity", (7,), True),
        (OPEN, "sched_setscheduler", (7,), False),
        (STRICT, "sched_setscheduler", (0,), True),
        (OPEN, "inotify_init1", (), True),
        (STRICT, "setpriority", (0, 0, 10), False),
        (STRICT, "setpriority", (0, 7, 10), True),
        (STRICT, "setpriority", (1, 0, 10), True),
    ],
)
def test_system_calls(strictness: Strictness, call: str, arguments: tuple[int, ...], expected: bool) -> None:
    assert refused(strictness, call, *arguments) is expected


def told_by(rule: seccomp.Rule, arguments: tuple[int, ...]) -> bool:
    """Whether a rule refuses a call with these arguments, as its docstring says."""
    if rule.argument is None:
        return True
    is_among = arguments[rule.argument] & 0xFFFF_FFFF & rule.mask in rule.values
    is_beside = rule.beside is None or arguments[rule.beside[0]] & 0xFFFF_FFFF == rule.beside[1]
    return is_among is rule.only and is_beside


_VALUES = sorted({value for rule in seccomp.rules_for(STRICT, 42) for value in rule.values} | {0, 5, 42, 1 << 33})


@given(
    strictness=st.builds(Strictness, st.booleans(), st.booleans(), st.booleans()),
    machine=st.sampled_from(sorted(ARCHITECTURES)),
    arguments=st.tuples(*[st.sampled_from(_VALUES)] * 6),
)
def test_the_filter_answers_every_number_as_its_table_says(
    strictness: Strictness, machine: str, arguments: tuple[int, ...]
) -> None:
    architecture, numbers = ARCHITECTURES[machine]
    rules = seccomp.rules_for(strictness, 42)
    program = seccomp.program(rules, machine)
    assert program is not None
    names = {number: call for call, number in numbers.items()}
    for number in range(max(names) + 10):
        first = next((rule for rule in rules if rule.call == names.get(number) and told_by(rule, arguments)), None)
        expected = ALLOWED if first is None else 0x0005_0000 | first.answer
        assert verdict_of(program, number, *arguments, architecture=architecture) == expected, names.get(number)


def test_what_every_program_needs_is_allowed() -> None:
    program = seccomp.program(seccomp.rules_for(STRICT, 42), "x86_64")
    assert program is not None
    named = set(X86.values())
    unnamed = [number for number in range(335) if number not in named]
    assert [number for number in unnamed if verdict_of(program, number) != ALLOWED] == []


def test_another_architecture_is_the_end_and_another_table_is_unknown() -> None:
    program = seccomp.program(seccomp.rules_for(STRICT, 42), "x86_64")
    assert program is not None
    assert verdict_of(program, 20, architecture=0x4000_0003) == KILLED
    assert verdict_of(program, 0x4000_0000 | 41) == 0x0005_0000 | errno.ENOSYS


def test_every_rule_means_a_call_of_some_architecture() -> None:
    calls = {rule.call for rule in seccomp.rules_for(STRICT, 42)}
    tables = [set(numbers) for _, numbers in ARCHITECTURES.values()]
    assert calls <= set.union(*tables)
    assert set.union(*tables) <= calls
    for _, numbers in ARCHITECTURES.values():
        assert len(set(numbers.values())) == len(numbers)


def test_an_unknown_machine_has_no_filter() -> None:
    assert seccomp.program([], "riscv64") is None


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_a_filter_is_small_enough_for_the_kernel(machine: str) -> None:
    program = seccomp.program(seccomp.rules_for(STRICT, 42), machine)
    assert program is not None
    assert len(program) // 8 <= 4096


def test_the_fence_of_processes_is_never_low_for_a_user_that_others_share() -> None:
    """Containers share users without seeing each other's processes, and the kernel counts them together."""
    few = replace(LIMITS, processes=1)
    assert confine.fence(few, confine.Hold(Rung.LANDLOCK, None, 7, None)) == 7 + 1024
    assert confine.fence(few, confine.Hold(Rung.LANDLOCK, 61_184, 0, None)) == 1


@pytest.mark.parametrize(
    ("free", "floor"), [(100_000, folder.RESERVE_MB), (600, 300), (0, 0), (float("inf"), folder.RESERVE_MB)]
)
def test_a_disk_keeps_a_reserve_and_a_small_one_half_of_what_it_has(free: float, floor: float) -> None:
    assert folder.floor_mb(free) == floor
