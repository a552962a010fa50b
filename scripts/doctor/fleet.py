"""Checks of what the fleet itself keeps: database, audit chain, secrets, and what a crash leaves behind."""

from __future__ import annotations

import stat
from pathlib import Path

from config import audit
from config.audit import ChainReport
from config.db import Database
from config.errors import VX11Error
from config.services import present_services
from config.settings import Settings
from config.sqlite import sqlite_module, wal_is_safe
from scripts.cli.fleet_process import FleetProcess, PidFile
from scripts.doctor.finding import Finding, failure, ok, warning
from scripts.doctor.machine import free_ports
from scripts.doctor.ports import holders


def examine(settings: Settings) -> list[Finding]:
    """All checks of an installed fleet, running or not."""
    module = sqlite_module()
    running = PidFile(settings.runtime_path / "fleet.pid").read()
    return [
        sqlite_version(tuple(module.sqlite_version_info), own=module.__name__.startswith("pysqlite3")),
        *([] if running and running.is_alive else [_ports(settings)]),
        pid_file(running),
        secret_modes(settings.runtime_path),
        *_database(settings),
    ]


def sqlite_version(version: tuple[int, ...], *, own: bool) -> Finding:
    """Whether the SQLite in use may share a WAL file among processes; `own` says it is the house's."""
    words = f"SQLite {'.'.join(map(str, version))}" + (" (pysqlite3)" if own else " (of this Python)")
    if wal_is_safe(version):
        return ok("SQLite", words)
    return warning(
        "SQLite",
        f"{words} can corrupt a WAL file that several processes share; the fleet uses the slower rollback journal.",
        "Install the pinned pysqlite3: ./vx11 up puts it into .venv.",
    )


def pid_file(running: FleetProcess | None) -> Finding:
    """Whether a fleet runs; the pid file of one that ended stays, and says nothing."""
    if running is None or not running.is_alive:
        return ok("fleet", "not running")
    return ok("fleet", f"running, pid {running.pid}")


def secret_modes(runtime: Path) -> Finding:
    """Whether tokens and keys can be read by their owner alone."""
    secrets = [path for pattern in ("*.token", "*.key") for path in sorted(runtime.glob(pattern))]
    open_ones = [path for path in secrets if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if not open_ones:
        return ok("secrets", "readable by their owner alone")
    names = " ".join(map(str, open_ones))
    return failure("secrets", f"Other users of this machine can read {names}.", f"chmod 600 {names}")


def audit_chain(report: ChainReport) -> Finding:
    """Whether anybody rewrote the audit trail."""
    if report.is_intact:
        return ok("audit", f"chain of {report.rows} rows is intact")
    return failure(
        "audit",
        f"Row {report.broken_at} of audit_logs does not follow from the row before: the trail was changed there.",
        "Keep a copy of the database, find out who wrote to it, and trust no row from there on.",
    )


def database_integrity(verdict: str) -> Finding:
    """`verdict` as `config.db.Database.integrity` gives it."""
    if verdict == "ok":
        return ok("database", "integrity check says ok")
    return failure(
        "database",
        f"The integrity check found: {verdict[:300]}",
        "Stop the fleet (./vx11 down), copy the data/ folder, and restore the last backup.",
    )


def _ports(settings: Settings) -> Finding:
    ports = [settings.port_of(service.name) for service in present_services()]
    return free_ports(ports, holders(ports))


def _database(settings: Settings) -> list[Finding]:
    if settings.database_url is None and not (settings.runtime_path / "vx11.db").exists():
        return [ok("database", "none yet; the first start makes it")]
    database = Database(settings.resolved_database_url)
    try:
        with database.read() as session:
            chain = audit_chain(audit.verify(session))
        return [database_integrity(database.integrity()), chain]
    except VX11Error as error:
        return [failure("database", error.detail, "Run the doctor again when the database is free.")]
    finally:
        database.close()
