"""A script that is a program of its own: its options are read, it runs on the house's settings, and its end is told."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable

from config.settings import Settings, load_settings
from scripts.cli.failure import CommandFailed
from scripts.terminal import Terminal, terminal_on


def run_program(
    about: str | None,
    arguments: Callable[[ArgumentParser], None],
    run: Callable[[Namespace, Settings, Terminal], int],
) -> int:
    """The exit status of `run`, which is given what `arguments` declared; 1, and a sentence, for CommandFailed.

    `about` is the script's docstring, whose first line is what `--help` says.
    """
    parser = ArgumentParser(description=(about or "").partition("\n")[0])
    arguments(parser)
    options, terminal = parser.parse_args(), terminal_on(sys.stdout, colour=False)
    try:
        return run(options, load_settings(), terminal)
    except CommandFailed as failed:
        terminal.say(f"{failed.sentence} {failed.remedy}".rstrip())
        return 1
