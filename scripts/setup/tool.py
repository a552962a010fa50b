"""Runs a foreign program and hands its output on, line by line, as it comes."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

TICK_SEC = 1.0
TAIL_LINES = 25
GRACE_SEC = 5.0


@dataclass(slots=True)
class Outcome:
    """How a program ended: its exit code and the last lines it wrote."""

    code: int
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))


def run(
    command: Sequence[str | Path],
    *,
    variables: Mapping[str, str],
    log: Path,
    on_line: Callable[[str], None],
    on_tick: Callable[[], None],
) -> Outcome:
    """Run `command` to its end; all it writes goes to `log` too.

    `on_line` gets each line, `on_tick` is called about once a second while nothing comes. An exception
    (Ctrl-C above all) ends the program and all it started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as record:
        record.write(f"\n$ {' '.join(map(str, command))}\n")
        with subprocess.Popen(
            [str(word) for word in command],
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as program:
            outcome = Outcome(0)
            try:
                _relay(program, outcome, record, on_line, on_tick)
            except BaseException:
                _end_group(program)
                raise
            outcome.code = program.wait()
            return outcome


def _relay(
    program: subprocess.Popen[bytes],
    outcome: Outcome,
    record: IO[str],
    on_line: Callable[[str], None],
    on_tick: Callable[[], None],
) -> None:
    assert program.stdout is not None
    for line in _lines(program.stdout):
        if line is None:
            on_tick()
            continue
        record.write(line + "\n")
        outcome.tail.append(line)
        on_line(line)


def _lines(pipe: IO[bytes]) -> Iterator[str | None]:
    """Each line of `pipe` without its end; None whenever a tick passes without one."""
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            if not selector.select(TICK_SEC):
                yield None
                continue
            chunk = os.read(pipe.fileno(), 1 << 16)
            if not chunk:
                break
            *whole, rest = (rest + chunk).split(b"\n")
            yield from (line.decode("utf-8", "replace").rstrip("\r") for line in whole)
    if rest:
        yield rest.decode("utf-8", "replace")


def _end_group(program: subprocess.Popen[bytes]) -> None:
    """End the program's whole session: a compiler driver leaves children that hold cores and pipes."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(program.pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + GRACE_SEC
        while program.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
