"""Prints the admin token of this machine's fleet, and nothing else."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from config.auth import admin_token
from scripts.cli.context import Context


def arguments(parser: ArgumentParser) -> None:
    """It takes nothing."""


def run(_options: Namespace, context: Context) -> int:
    """Print it; made now if there is none yet."""
    context.terminal.say(admin_token(context.settings))
    return 0
