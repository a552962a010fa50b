"""Day one, as a person lives it: up, first light, the pasted line, status, chat, down; and what a sudden end leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from scripts.doctor.ports import holders
from scripts.surroundings import here
from tests.support import databases
from tests.support.ports import free_port_offset
from tests.support.worker import model_file

PATIENCE_SEC = 90.0
CTRL_C = "Ctrl-C stops everything."


class Person:
    """Somebody at a shell, with a fleet of their own: ports, data and models that no other fleet uses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.offset = free_port_offset()
        self._variables: Mapping[str, str] = here().child_variables(
            VX11_PORT_OFFSET=str(self.offset),
            VX11_DATA_PATH=str(folder / "data"),
            **databases.environment(folder),
            VX11_MODELS_PATH=str(folder / "models"),
            PYTHONUNBUFFERED="1",
        )

    def types(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `./vx11 …` to its end."""
        return subprocess.run(
            _command(*words), env=self._variables, capture_output=True, text=True, timeout=PATIENCE_SEC, check=False
        )

    def leaves_running(self, *words: str) -> subprocess.Popen[str]:
        """Start `./vx11 …` in the foreground of another terminal."""
        return subprocess.Popen(
            _command(*words), env=self._variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def holds_ports(self) -> bool:
        """Whether anything of the fleet still listens."""
        return bool(holders([port + self.offset for port in range(8000, 8012)]))


def _command(*words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "scripts.cli", *words]


def wait_for(process: subprocess.Popen[str], words: str) -> list[str]:
    """The lines of `process` up to the one that holds `words`."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError(f"it ended without saying {words!r}:\n{''.join(lines)}")


def wait_until_ports_are_free(person: Person) -> None:
    deadline = time.monotonic() + PATIENCE_SEC
    while person.holds_ports():
        assert time.monotonic() < deadline, "something of the fleet is still listening"
        time.sleep(0.05)


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    models = tmp_path / "models"
    models.mkdir()
    for pattern in ("SmolLM2-135M*.gguf", "gemma-3-270m*.gguf"):
        source = model_file(pattern).resolve()
        try:
            os.link(source, models / source.name)
        except OSError:  # another file system
            shutil.copy(source, models)
    somebody = Person(tmp_path)
    yield somebody
    somebody.types("down")


@pytest.mark.timeout(300)
def test_day_one(person: Person) -> None:
    first = person.types("up", "-d")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "First light" in first.stdout
    assert "tokens/s" in first.stdout

    line = first.stdout.splitlines()[-1]
    pasted = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=PATIENCE_SEC, check=False)
    events = [text.removeprefix("data: ") for text in pasted.stdout.splitlines() if text.startswith("data: ")]
    said = "".join(
        choice["delta"].get("content") or "" for event in events[:-1] for choice in json.loads(event)["choices"]
    )
    assert events[-1] == "[DONE]"
    assert len(events) > 5
    assert said.strip()

    again = person.types("up", "-d")
    assert again.returncode == 0
    assert "running already" in again.stdout
    assert line in again.stdout

    status = person.types("status")
    assert status.returncode == 0
    assert "tentaculo_link   ready" in status.stdout

    chat = person.types("chat", "Say hello.", "--max-tokens", "20")
    assert chat.returncode == 0, chat.stderr
    assert chat.stdout.strip()
    assert "tokens" in chat.stderr

    doctor = person.types("doctor")
    assert doctor.returncode == 0, doctor.stdout
    assert "running, pid" in doctor.stdout

    assert "stopped" in person.types("down").stdout
    assert not person.holds_ports()
    assert "not running" in person.types("status").stderr

    second = person.types("up", "-d")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "First light" not in second.stdout
    assert line in second.stdout


def test_a_port_that_is_taken_is_explained_before_anything_starts(person: Person) -> None:
    assert person.types("up", "-d", "--bare").returncode == 0
    other = Person(person.folder / "other")
    other.folder.mkdir()
    stranger = subprocess.run(
        _command("up", "-d", "--bare"),
        env=here().child_variables(
            VX11_PORT_OFFSET=str(person.offset), VX11_DATA_PATH=str(other.folder / "data"), VX11_MODELS_PATH="models"
        ),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SEC,
        check=False,
    )
    assert stranger.returncode == 1
    assert f"ort {8000 + person.offset} is taken by vx11:" in stranger.stdout
    assert not (other.folder / "data" / "logs").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_in_the_foreground_a_signal_stops_everything(person: Person, number: signal.Signals) -> None:
    with person.leaves_running("up", "--bare") as process:
        wait_for(process, CTRL_C)
        assert person.holds_ports()
        process.send_signal(number)
        wait_for(process, "Everything is stopped")
        assert process.wait(PATIENCE_SEC) == 0
    assert not person.holds_ports()


def test_down_ends_a_fleet_in_the_foreground_of_another_terminal(person: Person) -> None:
    with person.leaves_running("up", "--bare") as process:
        wait_for(process, CTRL_C)
        assert "Everything is stopped" in person.types("down").stdout
        wait_for(process, "stopped from elsewhere")
        assert process.wait(PATIENCE_SEC) == 0
    assert not person.holds_ports()


def test_a_sudden_end_of_the_command_line_leaves_nothing_running(person: Person) -> None:
    with person.leaves_running("up", "--bare") as process:
        wait_for(process, CTRL_C)
        process.kill()
    wait_until_ports_are_free(person)


def test_in_the_foreground_a_fleet_that_dies_is_told(person: Person) -> None:
    with person.leaves_running("up", "--bare") as process:
        wait_for(process, CTRL_C)
        pid = int((person.folder / "data" / "runtime" / "fleet.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        wait_for(process, "The fleet ended by itself")
        assert process.wait(PATIENCE_SEC) == 1
    wait_until_ports_are_free(person)
