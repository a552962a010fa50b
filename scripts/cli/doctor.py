"""Looks at this machine and this fleet, and says what is wrong and what to do about it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from scripts.cli.context import Context
from scripts.doctor.finding import Finding
from scripts.doctor.machine import examine
from scripts.doctor.report import print_findings
from scripts.setup import fingerprint


def arguments(parser: ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--settings", action="store_true", help="list every setting: name, default, value, meaning")


def run(options: Namespace, context: Context) -> int:
    """0 when VX11 can run here, 1 when something has to be done first."""
    if options.settings:
        return _settings(context)
    missing = fingerprint.stale(
        fingerprint.read(context.world.environment),
        fingerprint.wanted(context.world.repository, fingerprint.RUNTIME),
    )
    needed = sum(fingerprint.DISK_NEEDED[layer] for layer in missing)
    findings = examine(context.world, needed_bytes=needed, compiles="llama" in missing)
    context.terminal.headline("This machine")
    print_findings(context.terminal, findings)
    if context.is_set_up:
        findings = [*findings, *_examine_fleet(context)]
    else:
        context.terminal.say("\nVX11 is not set up yet; the rest can be looked at after ./vx11 up.")
    return int(any(finding.fatal for finding in findings))


def _examine_fleet(context: Context) -> list[Finding]:
    from scripts.doctor import fleet  # noqa: PLC0415  # needs .venv

    findings = fleet.examine(context.settings)
    context.terminal.headline("This fleet")
    print_findings(context.terminal, findings)
    return findings


def _settings(context: Context) -> int:
    if not context.is_set_up:
        context.remarks.say("VX11 is not set up yet; the settings can be listed after ./vx11 up.")
        return 1
    from scripts.doctor.settings_table import print_settings  # noqa: PLC0415  # needs .venv

    print_settings(context.terminal, context.settings)
    return 0
