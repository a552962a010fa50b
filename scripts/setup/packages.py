"""Installs a lock file with pip: pinned, hashed, wheels only, and with progress."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.setup import tool
from scripts.setup.environment import python_of
from scripts.setup.failure import SetupFailed
from scripts.surroundings import Surroundings
from scripts.terminal import Bar, Terminal

_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)==", re.MULTILINE)
_TAKEN_UP = re.compile(r"^(Collecting|Processing|Requirement already satisfied:|Ignoring) (?:\S*/)?([A-Za-z0-9][\w.]*)")
_OFFLINE = (
    "NameResolutionError",
    "NewConnectionError",
    "ConnectTimeoutError",
    "Temporary failure in name resolution",
)


def pins(lock_text: str) -> list[str]:
    """The names that a lock file pins, one for each line that pip takes up."""
    return _PIN.findall(lock_text)


def install(lock: Path, environment: Path, world: Surroundings, terminal: Terminal, title: str) -> None:
    """Bring `environment` to what `lock` says; SetupFailed, with pip's last lines, where that cannot be."""
    command = [
        *pip(environment, "install"),
        "--require-hashes",
        "--only-binary=:all:",
        "--no-deps",
        "--progress-bar=off",
        f"--requirement={lock}",
    ]
    with terminal.bar(title, len(pins(lock.read_text()))) as bar:
        progress = PipReader(bar)
        outcome = tool.run(
            command, variables=world.tool_variables(), log=world.log, on_line=progress.read, on_tick=bar.tick
        )
    if outcome.code != 0:
        raise _failure(lock, list(outcome.tail))
    terminal.done(title, f"{progress.taken_up - progress.ignored} packages, verified by hash")


def install_wheel(wheel: Path, environment: Path, world: Surroundings) -> None:
    """Put one wheel of our own making into `environment`, without asking any index."""
    command = [*pip(environment, "install"), "--no-deps", "--no-index", "--force-reinstall", wheel]
    outcome = tool.run(
        command, variables=world.tool_variables(), log=world.log, on_line=lambda _: None, on_tick=lambda: None
    )
    if outcome.code != 0:
        raise SetupFailed(f"{wheel.name} could not be installed.", tail=list(outcome.tail))


def pip(environment: Path, verb: str) -> list[str | Path]:
    """The start of a pip command line in `environment`: never asks, never advertises itself."""
    return [python_of(environment), "-m", "pip", verb, "--no-input", "--disable-pip-version-check"]


class PipReader:
    """Reads pip's output as steps: pins taken up, some of them ignored (for another Python), then installing."""

    def __init__(self, bar: Bar) -> None:
        self.taken_up = 0
        self.ignored = 0
        self._bar = bar

    def read(self, line: str) -> None:
        """Take one line."""
        if match := _TAKEN_UP.match(line):
            self.taken_up += 1
            self.ignored += match[1] == "Ignoring"
            self._bar.update(self.taken_up, match[2])
        elif line.startswith("Installing collected packages"):
            self._bar.update(self.taken_up, "unpacking")


def _failure(lock: Path, tail: list[str]) -> SetupFailed:
    text = "\n".join(tail)
    if any(sign in text for sign in _OFFLINE):
        return SetupFailed(
            "The package index could not be reached.",
            remedy="Check the network (or pip's own settings for a proxy or mirror) and run the command again: "
            "it goes on where it stopped.",
            tail=tail,
        )
    if "No matching distribution" in text or "DO NOT MATCH THE HASHES" in text:
        return SetupFailed(f"pip could not get what {lock.name} pins for this Python and machine.", tail=tail)
    return SetupFailed(f"pip could not install {lock.name}.", tail=tail)
