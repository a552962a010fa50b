"""Says whether this fleet is fit for production: services, database, tables, models, logs, secrets."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from scripts import vx11_production_readiness as readiness
from scripts.cli.context import Context


def arguments(parser: ArgumentParser) -> None:
    """Declare what the command takes."""
    readiness.arguments(parser)


def run(options: Namespace, context: Context) -> int:
    """0 when nothing forbids production."""
    return readiness.check(options, context.settings, context.terminal)
