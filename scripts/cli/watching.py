"""The live view of a fleet in the foreground."""

from __future__ import annotations

import subprocess
import time

from scripts.cli.board import board
from scripts.cli.door import Door
from scripts.cli.failure import CommandFailed
from scripts.terminal import Terminal

_LOOK_EVERY_SEC = 1.0


def watch(door: Door, fleet: subprocess.Popen[bytes], terminal: Terminal) -> None:
    """Show how the fleet is until somebody stops it; CommandFailed when it ended by itself.

    A terminal is repainted; anywhere else each change of a service's state is a line.
    """
    terminal.say(terminal.dim("\nCtrl-C stops everything.\n"))
    known: dict[str, str] = {}
    while fleet.poll() is None:
        try:
            status = door.status()
        except CommandFailed as failed:
            _show(terminal, [terminal.uneasy(f"  {failed.sentence}")])
        else:
            _show(terminal, board(status, terminal))
            states = {service.name: str(service.state) for service in status.services}
            if not terminal.live:
                _say_changes(terminal, known, states)
            known = states
        time.sleep(_LOOK_EVERY_SEC)
    if fleet.returncode != 0:
        raise CommandFailed(
            f"The fleet ended by itself, with exit code {fleet.returncode}.", "See data/logs/fleet.log."
        )
    terminal.say("The fleet was stopped from elsewhere.")


def _show(terminal: Terminal, lines: list[str]) -> None:
    if terminal.live:
        terminal.paint(lines)


def _say_changes(terminal: Terminal, before: dict[str, str], now: dict[str, str]) -> None:
    for name, state in now.items():
        if state != before.get(name, "absent"):
            terminal.say(f"  {name} is {state}")
