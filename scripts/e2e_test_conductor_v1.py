"""Plays five phases through the running fleet: open a window, health, real flows, close, verify solo_madre.

    python scripts/e2e_test_conductor_v1.py [--url http://127.0.0.1:8000] [--max-cpu 70]

Before each phase it waits while the CPU is above 70 %. CPU and memory of each phase, and every step with its facts, are
left in `docs/audit/<time>_E2E_TEST_CONDUCTOR_v1/`. Ends with 0 when all five passed; the fleet is left as it was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # run as a file, not as a module

from config import clients
from config.auth import admin_token
from config.clock import SystemClock
from config.services import FLEET
from config.settings import Settings
from scripts.audit_folder import audit_folder
from scripts.cli.door import Door, open_door
from scripts.cli.program import run_program
from scripts.conductor.conducting import Conductor
from scripts.conductor.evidence import Evidence
from scripts.conductor.machine import Machine
from scripts.conductor.stage import Stage
from scripts.terminal import Terminal


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--url", help="the gateway (default: this machine's fleet)")
    parser.add_argument(
        "--services", nargs="+", default=(), choices=sorted(FLEET), metavar="SERVICE", help="default: all that sleep"
    )
    parser.add_argument("--max-cpu", type=float, default=70.0, metavar="PERCENT", help="wait while it is above; 70")
    parser.add_argument("--patience", type=float, default=600.0, metavar="SECONDS", help="wait at most; 600")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where the evidence goes; docs/audit")


def conduct(options: argparse.Namespace, settings: Settings, terminal: Terminal) -> int:
    """Play all phases; the exit status."""
    token = admin_token(settings)
    evidence = Evidence(options.out or audit_folder(settings.data_path), SystemClock().now())
    with open_door(settings, options.url) as door:

        @contextmanager
        def beside(service: str) -> Iterator[Door]:
            with clients.door(_url_of(service, options.url, settings), token) as own:
                yield Door(own)

        stage = Stage(door, beside, wanted=tuple(options.services))
        conductor = Conductor(stage, evidence, Machine(), max_cpu=options.max_cpu, patience_sec=options.patience)
        return 0 if conductor.play(terminal) else 1


def _url_of(service: str, gateway: str | None, settings: Settings) -> str:
    """A service's own address: beside the gateway that was named, else where the settings say."""
    if gateway is None:
        return settings.url_of(service)
    parts = urlsplit(gateway)
    offset = (parts.port or FLEET["tentaculo_link"].port) - FLEET["tentaculo_link"].port
    return f"{parts.scheme}://{parts.hostname}:{FLEET[service].port + offset}"


if __name__ == "__main__":
    sys.exit(run_program(__doc__, arguments, conduct))
