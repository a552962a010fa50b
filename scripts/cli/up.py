"""Starts the fleet: set-up where it is missing, models, first light. Ctrl-C stops everything it started.

With -d it goes on in the background, and `./vx11 down` stops it.
"""

from __future__ import annotations

import signal
import subprocess
import time
from argparse import ArgumentParser, Namespace

from config.auth import admin_token
from config.forkserver import logfile
from config.services import present_services
from config.settings import Settings
from scripts.cli import first_light, fleet_process
from scripts.cli.card import print_card
from scripts.cli.context import Context
from scripts.cli.door import Door, address_of, open_door
from scripts.cli.failure import CommandFailed
from scripts.cli.fleet_process import FleetProcess, PidFile
from scripts.cli.watching import watch
from scripts.doctor.machine import examine, free_ports
from scripts.doctor.ports import holders
from scripts.doctor.report import print_findings
from scripts.quantities import MB, seconds_in_words
from scripts.terminal import Terminal

READY_PATIENCE_SEC = 60.0
STOP_PATIENCE_SEC = 30.0
_DISK_TO_RUN = 100 * MB
_ASK_EVERY_SEC = 0.05


def arguments(parser: ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("-d", "--detach", action="store_true", help="go on in the background")
    parser.add_argument("--bare", action="store_true", help="start only: pull no models, show no first light")


def run(options: Namespace, context: Context) -> int:
    """Start and stay (or not, with -d); 0 when it was stopped in order."""
    with open_door(context.settings) as door:
        if _running(context.settings):
            context.terminal.say("VX11 is running already.")
            _print_card(context)
            return 0
        _refuse_a_bad_start(context)
        fleet = fleet_process.start(context.world, context.settings.logs_path, detached=options.detach)
        if options.detach:
            return _leave(door, fleet, context, bare=options.bare)
        return _stay(door, fleet, context, bare=options.bare)


def stop(fleet: FleetProcess, terminal: Terminal, *, process: subprocess.Popen[bytes] | None = None) -> None:
    """Stop the fleet in order; a second Ctrl-C ends it at once."""
    terminal.say("Stopping …")
    started = time.monotonic()
    reap = process.poll if process else lambda: None
    try:
        if not fleet.stop(patience_sec=STOP_PATIENCE_SEC, on_wait=reap):
            raise CommandFailed(
                f"The fleet (pid {fleet.pid}) did not end within {STOP_PATIENCE_SEC:.0f} s.",
                f"Its log is in data/logs. To end it at once: kill -9 {fleet.pid}",
            )
    except KeyboardInterrupt:
        fleet.kill()
    terminal.say(f"Everything is stopped, after {seconds_in_words(time.monotonic() - started)}.")


def _leave(door: Door, process: subprocess.Popen[bytes], context: Context, *, bare: bool) -> int:
    """The background: the fleet goes on, whatever becomes of this command."""
    try:
        return _settle(door, process, context, bare=bare)
    except KeyboardInterrupt:
        context.terminal.say("\nThe fleet goes on in the background; ./vx11 down stops it.")
        return 130


def _stay(door: Door, process: subprocess.Popen[bytes], context: Context, *, bare: bool) -> int:
    """The foreground: live status until Ctrl-C, a signal, or the end of the fleet; then all is stopped."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    code = 0
    try:
        code = _settle(door, process, context, bare=bare)
        watch(door, process, context.terminal)
    except KeyboardInterrupt:
        context.terminal.say()
    finally:
        if process.poll() is None:
            stop(FleetProcess(process.pid), context.terminal, process=process)
    return code


def _settle(door: Door, process: subprocess.Popen[bytes], context: Context, *, bare: bool) -> int:
    """Wait for the gateway, give first light, print the card; 1 when first light failed (the fleet stays up)."""
    started = time.monotonic()
    _wait_until_ready(door, process, context)
    context.terminal.done("fleet", f"ready after {time.monotonic() - started:.1f} s")
    marker = first_light.marker_of(context.settings)
    code = 0
    if not bare and first_light.seen_model(marker) is None:
        try:
            first_light.show(door, marker, context.terminal)
        except CommandFailed as failed:
            context.terminal.say(f"\n{context.terminal.uneasy('No first light:')} {failed.sentence}\n{failed.remedy}")
            code = 1
    _print_card(context)
    return code


def _wait_until_ready(door: Door, process: subprocess.Popen[bytes], context: Context) -> None:
    deadline = time.monotonic() + READY_PATIENCE_SEC
    while not door.is_ready():
        if process.poll() is not None:
            raise _died(process, context.settings)
        if time.monotonic() > deadline:
            FleetProcess(process.pid).stop(patience_sec=STOP_PATIENCE_SEC, on_wait=process.poll)
            raise CommandFailed(
                f"The gateway was not ready within {READY_PATIENCE_SEC:.0f} s.\n{_said(context.settings)}",
                _see(context.settings),
            )
        time.sleep(_ASK_EVERY_SEC)


def _died(process: subprocess.Popen[bytes], settings: Settings) -> CommandFailed:
    words = f"The fleet ended at once, with exit code {process.returncode}."
    return CommandFailed(f"{words}\n{_said(settings)}", _see(settings))


def _said(settings: Settings) -> str:
    """The last words of the fork server and of the gateway."""
    lines = [line for name in ("fleet", "tentaculo_link") for line in logfile.last_lines(settings.logs_path, name, 5)]
    return "\n".join(f"    {line}" for line in lines)


def _refuse_a_bad_start(context: Context) -> None:
    ports = [context.settings.port_of(service.name) for service in present_services()]
    findings = [
        *examine(context.world, needed_bytes=_DISK_TO_RUN, compiles=False),
        free_ports(ports, holders(ports)),
    ]
    print_findings(context.terminal, [finding for finding in findings if not finding.good])
    if any(finding.fatal for finding in findings):
        raise CommandFailed("VX11 cannot start on this machine as it is; what to do stands above.")


def _print_card(context: Context) -> None:
    settings = context.settings
    model = first_light.seen_model(first_light.marker_of(settings))
    print_card(context.terminal, address_of(settings), admin_token(settings), model)


def _running(settings: Settings) -> bool:
    found = PidFile(settings.runtime_path / "fleet.pid").read()
    return found is not None and found.is_alive


def _see(settings: Settings) -> str:
    return f"More stands in {settings.logs_path}/; ./vx11 doctor looks at the machine."
