"""Measures beside a peer in the same run and prints the ratios as JSON.

Each `scripts/bench_NAME.py` is one bench; what stands after `--` goes to it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from scripts.cli import starters
from scripts.cli.context import Context
from scripts.cli.failure import CommandFailed

_PREFIX = "bench_"


def arguments(parser: ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="which; none: all, one after the other")
    parser.add_argument("--list", action="store_true", help="only say which there are")


def run(options: Namespace, context: Context) -> int:
    """Run them; 0 when all of them could measure."""
    there = benches(context.world.repository / "scripts")
    if options.list:
        context.terminal.say("\n".join(there))
        return 0
    unknown = [name for name in options.names if name not in there]
    if unknown:
        raise CommandFailed(f"There is no bench {unknown[0]!r}.", f"There are: {', '.join(there)}.")
    starters.ensure(context)
    figures: dict[str, object] = {}
    for name in options.names or there:
        context.remarks.say(f"measuring {name} …")
        figures[name] = _measure(name, context, options.passed_on)
    context.terminal.say(json.dumps(figures, indent=2))
    return int(any(figure is None for figure in figures.values()))


def benches(folder: Path) -> list[str]:
    """The names of the benches in `folder`: the files that can be run by themselves."""
    files = sorted(folder.glob(f"{_PREFIX}*.py"))
    return [file.stem.removeprefix(_PREFIX) for file in files if '__name__ == "__main__"' in file.read_text()]


def _measure(name: str, context: Context, passed_on: list[str]) -> object:
    """What one bench printed; null, with its own words on standard error, where it failed."""
    command = [sys.executable, "-P", "-m", f"scripts.{_PREFIX}{name}", *passed_on]
    answer = subprocess.run(
        command, env=context.world.child_variables(), cwd=context.world.repository, stdout=subprocess.PIPE, check=False
    )
    try:
        return json.loads(answer.stdout) if answer.returncode == 0 else None
    except ValueError:
        context.remarks.say(f"{name} printed no JSON")
        return None
