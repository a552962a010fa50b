"""Says whether this fleet is fit for production: services, database, tables, models, logs, secrets.

    python scripts/vx11_production_readiness.py [--no-wake] [--report FILE]

Every service that this build holds is asked, one that sleeps is woken for it and let sleep again. What was found is
printed and written to `docs/audit/PRODUCTION_READINESS_CHECK.md`. Ends with 0 when nothing forbids production.
Runs where the data is: beside the fleet, or in one of its containers (`docker compose exec tentaculo_link python …`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # run as a file, not as a module

from config import clients
from config.auth import admin_token
from config.clock import SystemClock
from config.settings import Settings
from scripts.audit_folder import audit_folder
from scripts.cli.door import Door, open_door
from scripts.cli.failure import CommandFailed
from scripts.cli.program import run_program
from scripts.doctor.finding import Finding, failure
from scripts.doctor.report import print_findings
from scripts.readiness import database, logs, models, report, secrecy, services
from scripts.surroundings import REPOSITORY
from scripts.terminal import Terminal

REPORT = "PRODUCTION_READINESS_CHECK.md"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--no-wake", action="store_true", help="look only at the services that are up")
    parser.add_argument("--report", type=Path, metavar="FILE", help="where the report goes; docs/audit")


def check(options: argparse.Namespace, settings: Settings, terminal: Terminal) -> int:
    """Look at everything, print and write it; the exit status."""
    now, sections = SystemClock().now(), examine(settings, wakes=not options.no_wake)
    for title, findings in sections.items():
        terminal.headline(title)
        print_findings(terminal, findings)
    page = options.report or audit_folder(settings.data_path) / REPORT
    report.write(sections, now, page)
    is_ready = report.is_ready(sections)
    verdict = terminal.good("ready for production") if is_ready else terminal.bad("NOT ready for production")
    terminal.say(f"\n{verdict}; the report: {page}")
    return 0 if is_ready else 1


def examine(settings: Settings, *, wakes: bool) -> dict[str, list[Finding]]:
    """All findings, by section."""
    token, now = admin_token(settings), SystemClock().now()
    return {
        "Services": _services(settings, token, wakes=wakes),
        "Database": database.examine(settings),
        "Models": models.examine(settings),
        "Logs": logs.examine(settings.logs_path, token, now),
        "Secrets": secrecy.examine(settings, token, REPOSITORY),
    }


def _services(settings: Settings, token: str, *, wakes: bool) -> list[Finding]:
    @contextmanager
    def beside(service: str) -> Iterator[Door]:
        with clients.door(settings.url_of(service), token) as own:
            yield Door(own)

    try:
        with open_door(settings) as door:
            return services.examine(door, beside, wakes=wakes)
    except CommandFailed as failed:
        return [failure("fleet", failed.sentence, failed.remedy)]


if __name__ == "__main__":
    sys.exit(run_program(__doc__, arguments, check))
