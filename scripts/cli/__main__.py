"""`python -m scripts.cli …`: finds the command and runs it. `./vx11` comes here after set-up."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from scripts.cli.commands import COMMANDS, Command
from scripts.cli.context import Context, context_of
from scripts.cli.failure import CommandFailed
from scripts.surroundings import here

_USAGE_ERROR = 2


def main(arguments: Sequence[str]) -> int:
    """Run one command; the exit code."""
    world, called_from = here(), Path.cwd()
    os.chdir(world.repository)
    context = context_of(world, called_from)
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        context.terminal.say(_overview())
        return 0
    name, *rest = arguments
    command = COMMANDS.get(name)
    if command is None:
        context.remarks.say(_unknown(name))
        return _USAGE_ERROR
    wants_help = not {"-h", "--help"}.isdisjoint(rest)
    if not (context.is_set_up or command.before_setup or wants_help):
        context.remarks.say("VX11 is not set up here yet. Start with: ./vx11 up")
        return 1
    return _run(command, rest, context)


def _run(command: Command, arguments: Sequence[str], context: Context) -> int:
    options = options_of(command, arguments)
    try:
        return command.load().run(options, context)
    except CommandFailed as failed:
        context.remarks.say(f"{context.remarks.bad('Failed:')} {failed.sentence}")
        if failed.remedy:
            context.remarks.say(failed.remedy)
        return 1
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  # whoever read us is gone; exit must not trip over it
        return 0
    except KeyboardInterrupt:
        context.remarks.say()
        return 130


def options_of(command: Command, arguments: Sequence[str]) -> Namespace:
    """What the words behind a command mean; SystemExit with the usage where they mean nothing."""
    module = command.load()
    parser = ArgumentParser(prog=f"./vx11 {command.name}", description=module.__doc__)
    module.arguments(parser)
    own, passed_on = _split(arguments)
    return parser.parse_args(own, Namespace(passed_on=passed_on))


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The command's own words, and those after `--`, which it passes on."""
    words = list(arguments)
    if "--" not in words:
        return words, []
    border = words.index("--")
    return words[:border], words[border + 1 :]


def _overview() -> str:
    rows = "\n".join(f"  {command.name:<8} {command.summary}" for command in COMMANDS.values())
    return f"usage: ./vx11 COMMAND …\n\n{rows}\n\n./vx11 COMMAND --help says more about one."


def _unknown(name: str) -> str:
    return f"There is no command {name!r}. There are: {', '.join(COMMANDS)}."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
