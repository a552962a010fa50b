"""Plays five phases through the running fleet, and leaves evidence: open, health, flows, close, solo_madre."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from scripts import e2e_test_conductor_v1 as conductor
from scripts.cli.context import Context


def arguments(parser: ArgumentParser) -> None:
    """Declare what the command takes."""
    conductor.arguments(parser)


def run(options: Namespace, context: Context) -> int:
    """0 when all five phases passed."""
    return conductor.conduct(options, context.settings, context.terminal)
