"""A fleet seen from outside: told from whatever else may have its number by now, stopped in order."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.cli.fleet_process import FleetProcess, PidFile

PATIENT = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit()); print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def a_process(folder: Path, pid: int, command: str, state: str = "S") -> FleetProcess:
    (folder / str(pid)).mkdir()
    (folder / str(pid) / "cmdline").write_bytes(command.replace(" ", "\0").encode() + b"\0")
    (folder / str(pid) / "stat").write_text(f"{pid} (a (strange) name) {state} 1 1")
    return FleetProcess(pid, proc=folder)


@pytest.mark.parametrize(
    ("command", "state", "alive"),
    [
        ("python -P -m config fleet", "S", True),
        ("python -m config fleet", "R", True),
        ("python -P -m config fleet", "Z", False),
        ("python -m config madre", "S", False),
        ("vim fleet", "S", False),
    ],
)
def test_only_a_living_fleet_is_one(tmp_path: Path, command: str, state: str, alive: bool) -> None:
    assert a_process(tmp_path, 7, command, state).is_alive is alive


def test_a_number_nobody_has_is_no_fleet(tmp_path: Path) -> None:
    assert not FleetProcess(7, proc=tmp_path).is_alive


@pytest.mark.parametrize("content", ["", "soon", "-"])
def test_a_pid_file_without_a_pid_names_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "fleet.pid").write_text(content)
    assert PidFile(tmp_path / "fleet.pid").read() is None
    assert PidFile(tmp_path / "absent").read() is None


@pytest.fixture
def child(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """A child that looks like a fleet from outside: its last words are those of one."""
    command = [sys.executable, "-c", request.param, "config", "fleet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


@pytest.mark.parametrize("child", [PATIENT], indirect=True)
def test_it_is_asked_to_end_and_waited_for(child: subprocess.Popen[bytes]) -> None:
    assert FleetProcess(child.pid).stop(patience_sec=10, on_wait=child.poll)
    assert child.wait() == 0


@pytest.mark.parametrize("child", [STUBBORN], indirect=True)
def test_one_that_will_not_end_is_reported_and_can_be_killed(child: subprocess.Popen[bytes]) -> None:
    fleet = FleetProcess(child.pid)
    assert not fleet.stop(patience_sec=0.2, on_wait=child.poll)
    fleet.kill()
    assert child.wait() == -signal.SIGKILL
    fleet.kill()  # gone already: nothing to complain about
