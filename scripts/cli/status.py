"""What is running: services with state and memory, policy, windows."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from scripts.cli.board import board
from scripts.cli.context import Context
from scripts.cli.door import open_door


def arguments(parser: ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--json", action="store_true", help="as the gateway says it")


def run(options: Namespace, context: Context) -> int:
    """0 while the fleet runs and every part of it could be asked."""
    with open_door(context.settings) as door:
        status = door.status()
    if options.json:
        context.terminal.say(status.model_dump_json(indent=2))
    else:
        for line in board(status, context.terminal):
            context.terminal.say(line)
    return int(status.degraded)
