"""Foreign programs are run with their output seen as it comes, and are ended whole."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from scripts.setup import tool
from tests.support.eventually import eventually

PATH = {"PATH": os.defpath}


def run(script: str, log: Path, lines: list[str], ticks: list[int] | None = None) -> tool.Outcome:
    return tool.run(
        [sys.executable, "-c", script],
        variables=PATH,
        log=log,
        on_line=lines.append,
        on_tick=lambda: ticks.append(1) if ticks is not None else None,
    )


async def state_of(pid: str) -> str:
    """The letter that ps shows for a process; nothing once it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_lines_exit_code_and_log(tmp_path: Path) -> None:
    seen: list[str] = []
    outcome = run("import sys; print('one'); print('two', end=''); sys.exit(3)", tmp_path / "log", seen)
    assert outcome.code == 3
    assert seen == list(outcome.tail) == ["one", "two"]
    assert "one\ntwo\n" in (tmp_path / "log").read_text()


def test_only_the_last_lines_are_kept(tmp_path: Path) -> None:
    outcome = run("for i in range(1000): print(i)", tmp_path / "log", [])
    assert list(outcome.tail) == [str(number) for number in range(1000 - tool.TAIL_LINES, 1000)]


def test_a_silent_program_ticks(tmp_path: Path) -> None:
    ticks: list[int] = []
    run("import time; time.sleep(1.3)", tmp_path / "log", [], ticks)
    assert ticks


async def test_an_interrupt_ends_the_program_and_what_it_started(tmp_path: Path) -> None:
    script = "import os, subprocess, sys; c = subprocess.Popen(['sleep', '60']); print(c.pid, flush=True); c.wait()"
    started: list[str] = []

    def interrupt(line: str) -> None:
        started.append(line)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tool.run(
            [sys.executable, "-c", script],
            variables=PATH,
            log=tmp_path / "log",
            on_line=interrupt,
            on_tick=lambda: None,
        )
    await eventually(lambda: state_of(started[0]), lambda state: state in {"", "Z"})
