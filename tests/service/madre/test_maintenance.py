"""Maintenance looks first, and only with `apply` touches anything."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from config.db_schema import EventRow, PowerEvent
from madre.adapters.backup import KEPT
from tests.support import databases
from tests.support.clock import ManualClock
from tests.support.power import Madre, madre_in

ON_A_FILE = databases.only_on_a_file("a copy of the file is SQLite's backup")


async def with_old_rows(madre: Madre) -> None:
    old = madre.clock.now() - timedelta(days=31)

    def write(session: Session) -> None:
        for _ in range(3):
            session.add(EventRow(at=old, type="x", source="madre", severity="info", correlation_id="", data={}))
        session.add(PowerEvent(at=old, service="switch", act="start", reason="", outcome="ok", elapsed_ms=0, detail={}))

    await madre.house.db.writing(write)


async def test_looking_changes_nothing(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        await with_old_rows(madre)
        report = await madre.post("maintenance")
        assert (report["applied"], report["integrity"]) == (False, "ok")
        assert report["findings"]["audit_broken_at"] is None
        assert report["findings"]["rows_past_term"] == {
            "audit_logs": 0,
            "cli_usage_stats": 0,
            "daughter_tasks": 0,
            "events": 3,
            "fluzo_signals": 0,
            "ia_decisions": 0,
            "intents_log": 0,
            "model_usage_stats": 0,
            "plans": 0,
            "power_events": 1,
            "provider_stats": 0,
            "rails_events": 0,
            "routing_events": 0,
            "scheduler_history": 0,
            "switch_queue_v2": 0,
            "tasks": 0,
        }
        assert (await madre.post("maintenance"))["findings"] == report["findings"]
        assert not (tmp_path / "data" / "backups").exists()


@ON_A_FILE
async def test_applying_deletes_what_is_past_its_term_and_leaves_a_sound_backup(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        await with_old_rows(madre)
        await madre.open("switch", reason="kept in the backup")
        findings = (await madre.post("maintenance", {"apply": True}))["findings"]
        assert (findings["rows_deleted"]["events"], findings["rows_deleted"]["power_events"]) == (3, 1)
        assert findings["backup"]["check"] == "ok"
        copy = sqlite3.connect(tmp_path / "data" / "backups" / findings["backup"]["file"])
        assert copy.execute("SELECT reason FROM power_windows").fetchall() == [("kept in the backup",)]
        copy.close()
        again = await madre.post("maintenance", {"apply": True})
        assert set(again["findings"]["rows_deleted"].values()) == {0}
        assert again["findings"]["audit_broken_at"] is None


@ON_A_FILE
async def test_only_the_newest_backups_are_kept(tmp_path: Path) -> None:
    clock = ManualClock()
    async with madre_in(tmp_path, clock=clock) as madre:
        names = []
        for _ in range(KEPT + 2):
            names.append((await madre.post("maintenance", {"apply": True}))["findings"]["backup"]["file"])
            clock.advance(60)
        assert sorted(path.name for path in (tmp_path / "data" / "backups").iterdir()) == names[2:]


async def test_a_broken_audit_chain_is_found(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        await madre.open("switch")
        await madre.post("window/close")
        with madre.house.db.writer.begin() as connection:
            connection.exec_driver_sql("UPDATE audit_logs SET target = 'hermes' WHERE id = 2")
        assert (await madre.post("maintenance"))["findings"]["audit_broken_at"] == 2
