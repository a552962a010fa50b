"""Pulls and registers the two small starter models of the catalogue through the running fleet.

    python scripts/hermes_download_test_models.py [--url http://127.0.0.1:8000]

Each is a real model of at most 2 GB; what is here already is not fetched again. Ends with 0 once both are
registered with the right hash and can be served, else with 1 and a sentence that says why.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # run as a file, not as a module

from config.contracts.models import CatalogueItem, LocalModel, ModelPull
from config.settings import Settings
from scripts.cli.door import Door, open_door
from scripts.cli.failure import CommandFailed
from scripts.cli.program import run_program
from scripts.cli.pulling import pull
from scripts.quantities import GB, bytes_in_words
from scripts.terminal import Terminal

MAX_BYTES = 2 * GB


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the script takes."""
    parser.add_argument("--url", help="the gateway, or hermes itself (default: this machine's fleet)")


def run(options: argparse.Namespace, settings: Settings, terminal: Terminal) -> int:
    """Pull the starters; the exit status."""
    with open_door(settings, options.url) as door:
        pull_starters(door, terminal)
    return 0


def pull_starters(door: Door, terminal: Terminal) -> None:
    """Bring every starter here and look at its row; CommandFailed for one that is not as the catalogue says."""
    starters = [item for item in door.catalogue().items if item.starter]
    for item in starters:
        pull(door, ModelPull(name=item.name), terminal)
    rows = {row.name: row for row in door.models()}
    for item in starters:
        _check(item, rows.get(item.name))
    total = sum(rows[item.name].size_bytes for item in starters)
    terminal.say(f"{len(starters)} models are registered, {bytes_in_words(total)} together.")


def _check(item: CatalogueItem, row: LocalModel | None) -> None:
    if row is None or row.compatibility != "ok":
        raise CommandFailed(f"{item.name} was pulled, but cannot be served.", "POST /hermes/scan looks again.")
    if item.sha256 not in (None, row.sha256):
        raise CommandFailed(f"{item.name} has the SHA-256 {row.sha256}, not the catalogue's.", "")
    if row.size_bytes > MAX_BYTES:
        raise CommandFailed(f"{item.name} is larger than {bytes_in_words(MAX_BYTES)}.", "")


if __name__ == "__main__":
    sys.exit(run_program(__doc__, arguments, run))
