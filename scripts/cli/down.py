"""Stops the fleet, in order: sleepers first, then the gateway, madre last."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from scripts.cli.context import Context
from scripts.cli.fleet_process import PidFile
from scripts.cli.up import stop


def arguments(parser: ArgumentParser) -> None:
    """It takes nothing."""


def run(_options: Namespace, context: Context) -> int:
    """Stop it; 0 too where none runs."""
    fleet = PidFile(context.settings.runtime_path / "fleet.pid").read()
    if fleet is None or not fleet.is_alive:
        context.terminal.say("VX11 is not running.")
        return 0
    stop(fleet, context.terminal)
    return 0
