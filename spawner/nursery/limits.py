"""Judgement: which limit a sample of a tree breaks, and what a way of ending means. Pure."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass

from spawner.cage import FLOOD, Ending, Limits

GRACE_SEC = 1.0  # between SIGTERM and SIGKILL, where there is time to ask


@dataclass(frozen=True, slots=True)
class Sample:
    """What all processes of a tree take together; `files` and `disk_mb` are what its folder has gained, as far as it
    can be seen, files without a name included, and `hides` whether something cannot. `free_mb` is what its disk has
    left, `floor_mb` what is not for daughters."""

    wall_sec: float
    cpu_sec: float
    memory_mb: float
    processes: int
    files: int
    disk_mb: float
    said_bytes: int
    hides: bool = False
    free_mb: float = float("inf")
    floor_mb: float = 0.0


@dataclass(frozen=True, slots=True)
class Sentence:
    """Why a daughter is to end, for a person to read. `grace_sec`: how long she may take to leave when asked."""

    kind: Ending
    detail: str
    grace_sec: float = 0.0


def broken(limits: Limits, sample: Sample) -> Sentence | None:
    """The first limit that is broken."""
    return next(_breaches(limits, sample), None)


def _breaches(limits: Limits, sample: Sample) -> Iterator[Sentence]:
    if sample.said_bytes > FLOOD * limits.output_bytes:
        yield Sentence(Ending.OUTPUT, f"it said more than {FLOOD} times the {limits.output_bytes} bytes that are kept")
    if sample.memory_mb > limits.memory_mb:
        yield Sentence(Ending.MEMORY, f"it held {sample.memory_mb:.0f} MiB of {limits.memory_mb}")
    if sample.processes > limits.processes:
        yield Sentence(Ending.PROCESSES, f"it had {sample.processes} processes of {limits.processes}")
    if sample.disk_mb > limits.disk_mb:
        yield Sentence(Ending.DISK, f"its folder gained {sample.disk_mb:.0f} MiB of {limits.disk_mb}")
    if sample.files > limits.folder_files:
        yield Sentence(Ending.DISK, f"its folder gained {sample.files} files of {limits.folder_files}")
    if sample.hides:
        yield Sentence(Ending.DISK, "it hides something: a folder unreadable or too deep, or open files")
    if sample.free_mb < sample.floor_mb:
        yield Sentence(Ending.DISK, f"its disk has {sample.free_mb:.0f} MiB left, {sample.floor_mb:.0f} are kept")
    if sample.cpu_sec > limits.cpu_sec:
        yield Sentence(Ending.CPU, f"it computed {sample.cpu_sec:.1f} s of {limits.cpu_sec:g}")
    if sample.wall_sec > limits.wall_sec:
        yield Sentence(Ending.TIMEOUT, f"it took longer than {limits.wall_sec:g} s", GRACE_SEC)


def meaning(status: int, limits: Limits, cpu_sec: float) -> tuple[Ending, int | None, int | None, str]:
    """What a wait status says when we did not end it: kind, exit code, signal, a sentence."""
    if status >= 0:
        return Ending.EXITED, status, None, f"it ended with {status}"
    number = -status
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    if number == signal.SIGXCPU or (number == signal.SIGKILL and cpu_sec >= limits.cpu_sec):
        return Ending.CPU, None, number, f"it computed longer than {limits.cpu_sec:g} s"
    if number == signal.SIGXFSZ:
        return Ending.DISK, None, number, f"it wrote a file larger than {limits.file_mb} MiB"
    if number == signal.SIGSYS:
        return Ending.SIGNAL, None, number, "it made a system call of another architecture"
    return Ending.SIGNAL, None, number, f"it ended of {name}"
