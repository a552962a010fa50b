"""Loads each enabled model, has it do one real inference, and looks at what that left."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from scripts.cli.context import Context
from scripts.cli.door import open_door
from scripts.warmup_smoke_test import check


def arguments(parser: ArgumentParser) -> None:
    """It takes nothing."""


def run(_options: Namespace, context: Context) -> int:
    """Do it; CommandFailed says what is not as it should be."""
    with open_door(context.settings) as door:
        check(door, context.terminal)
    return 0
