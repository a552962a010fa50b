"""The doctor's words on what the fleet keeps."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import update

from config import audit
from config.audit import ChainReport
from config.auth import Caller, admin_token
from config.db import Database
from config.db_schema import Base
from config.db_schema.kernel import AuditLog
from config.settings import Settings
from scripts.cli.fleet_process import FleetProcess
from scripts.doctor import fleet
from scripts.doctor.finding import Finding
from tests.support import databases
from tests.support.clock import ManualClock
from tests.support.house import settings_in


def examined(settings: Settings) -> dict[str, Finding]:
    return {finding.subject: finding for finding in fleet.examine(settings)}


def a_database(settings: Settings, rows: int) -> Database:
    database = Database(settings.resolved_database_url)
    Base.metadata.create_all(database.writer)
    for number in range(rows):
        with database.write() as session:
            caller = Caller.of_service("madre")
            audit.append(session, caller, "test", f"t{number}", now=ManualClock().now(), service="madre")
    return database


def test_an_old_sqlite_says_what_the_fleet_does_then() -> None:
    finding = fleet.sqlite_version((3, 40, 1), own=False)
    assert finding.state == "warning"
    assert "3.40.1" in finding.words
    assert "rollback journal" in finding.words
    assert fleet.sqlite_version((3, 53, 4), own=True).good


@databases.only_on_a_file("SQLite's file is not there yet")
def test_a_new_house_is_well(tmp_path: Path) -> None:
    findings = examined(settings_in(tmp_path))
    assert findings["database"].words.startswith("none yet")
    assert findings["fleet"].words == "not running"


def test_a_whole_database_and_chain_are_well(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    a_database(settings, rows=3).close()
    findings = examined(settings)
    assert findings["database"].good
    assert findings["audit"].words == "chain of 3 rows is intact"


def test_a_rewritten_audit_row_is_found(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    database = a_database(settings, rows=3)
    with database.write() as session:
        session.execute(update(AuditLog).where(AuditLog.id == 2).values(target="another"))
    database.close()
    finding = examined(settings)["audit"]
    assert finding.fatal
    assert "Row 2" in finding.words


def test_a_damaged_database_names_the_way_back() -> None:
    finding = fleet.database_integrity("row 5 missing from index")
    assert finding.fatal
    assert "row 5 missing" in finding.words
    assert "backup" in finding.remedy


def test_a_secret_that_others_can_read_is_found(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, token=None)
    admin_token(settings)
    assert fleet.secret_modes(settings.runtime_path).good
    (settings.runtime_path / "admin.token").chmod(0o644)
    finding = fleet.secret_modes(settings.runtime_path)
    assert finding.fatal
    assert "chmod 600" in finding.remedy


def test_the_pid_of_a_fleet_that_ended_says_nothing(tmp_path: Path) -> None:
    assert fleet.pid_file(FleetProcess(4711, proc=tmp_path)).words == "not running"


def test_an_intact_chain_counts_its_rows() -> None:
    assert fleet.audit_chain(ChainReport(rows=7, broken_at=None)).good
