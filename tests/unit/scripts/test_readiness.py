"""What the readiness check insists on, what it only notes, and the page it leaves."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from config.contracts.status import FleetService
from config.db import Database
from config.db_schema import Base, LocalModelV2
from config.serve import COMPOSE_TOKEN
from config.settings import Settings
from scripts.doctor.finding import Finding, failure, ok, warning
from scripts.readiness import database, logs, models, report, secrecy, services
from tests.support import databases
from tests.support.clock import ManualClock
from tests.support.front_door import Gateway, door_to
from tests.support.house import settings_in

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TOKEN = "vx11_" + "x" * 43
ON_A_FILE = databases.only_on_a_file("SQLite's file is missing, empty, or has a size")


def named(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings}


def service(name: str, state: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "port": 8002, "state": state, "memory_mb": None, "restarts": 0, **changes}


def status(*listed: dict[str, Any], **changes: Any) -> dict[str, Any]:
    empty = {"version": "0", "time": "2026-11-21T12:00:00Z", "policy": "solo_madre", "windows": []}
    return {**empty, "services": listed, "engine_mode": None, "queue": None, "degraded": False, "notes": [], **changes}


def window(state: str = "open") -> dict[str, Any]:
    empty = dict.fromkeys(("deadline", "ttl_remaining_sec", "closed_at", "close_reason"))
    asked = {"window_id": "w1", "services": ["switch"], "mode": "ttl", "opened_by": "admin", "reason": ""}
    return {**asked, **empty, "state": state, "created_at": "2026-11-21T12:00:00Z"}


def healthy(**changes: Any) -> dict[str, Any]:
    return {"status": "ok", "module": "switch", "version": "0", "uptime_sec": 1, "checks": {}, **changes}


def a_fleet(*, opened: str = "open", health: dict[str, Any] | None = None) -> Gateway:
    gateway = Gateway()
    listed = (service("madre", "ready"), service("switch", "asleep"), service("shub", "absent"))
    gateway.on("GET", "/vx11/status", status(*listed))
    gateway.on("POST", "/madre/power/window/open", window(opened), status=201)
    gateway.on("POST", "/madre/power/window/close", window("closed"))
    gateway.on("GET", "/health", health or healthy())
    gateway.on("GET", "/ready", {"ready": True, "module": "switch"})
    return gateway


def looked_at(gateway: Gateway, *, wakes: bool = True) -> dict[str, Finding]:
    with door_to(gateway) as door:
        return named(services.examine(door, lambda _name: door_to(gateway), wakes=wakes))


def test_sleepers_are_woken_for_a_look_and_let_sleep_again() -> None:
    gateway = a_fleet()
    found = looked_at(gateway)
    assert found.keys() == {"fleet", "madre", "switch"}
    assert all(finding.good for finding in found.values())
    assert [path.rsplit("/", 1)[1] for method, path, _ in gateway.asked if method == "POST"] == ["open", "close"]


def test_sleepers_are_left_alone_when_told_so() -> None:
    gateway = a_fleet()
    assert looked_at(gateway, wakes=False)["switch"].words == "asleep, and left so"
    assert not [method for method, _, _ in gateway.asked if method == "POST"]


def test_a_service_that_is_not_well_is_a_failure_and_its_window_is_closed() -> None:
    degraded = healthy(status="degraded", checks={"disk": False, "other": True})
    found = looked_at(a_fleet(health=degraded))
    assert found["switch"].fatal
    assert found["switch"].words == "says it is degraded disk: False"
    gateway = a_fleet(opened="opening")
    assert "did not become ready" in looked_at(gateway)["switch"].words
    assert gateway.asked[-2][1].endswith("window/close")


def test_a_fleet_that_cannot_be_asked_whole_is_a_failure() -> None:
    gateway = a_fleet()
    gateway.on("GET", "/vx11/status", status(degraded=True, notes=["madre: gone"]))
    assert looked_at(gateway)["fleet"].words == "madre: gone"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"restarts": 4}, "started again 4 times"),
        ({"memory_mb": 120, "cpu": 1.0}, "takes 120 of the 128 MiB"),
        ({"errors": 2}, "2 of the 9 requests"),
        ({}, None),
    ],
)
def test_figures_give_cause_for_a_note(changes: dict[str, Any], words: str | None) -> None:
    usage = {"cpu_sec": 1, "cpu_percent": 1, "memory_mb": changes.get("memory_mb", 50), "memory_limit_mb": 128}
    traffic = {"over_sec": 60, "requests": 9, "errors": changes.get("errors", 0), "p50_ms": 1, "p99_ms": 2}
    known = {"usage": {**usage, "read_bytes": 0, "written_bytes": 0}, "traffic": traffic}
    one = FleetService.model_validate(service("switch", "ready", figures=known, restarts=changes.get("restarts", 0)))
    finding = services.figures(one)
    assert (finding is None) == (words is None)
    assert finding is None or (finding.state == "warning" and str(words) in finding.words)


@ON_A_FILE
def test_a_whole_database_is_ready_but_for_what_migrations_and_backups_add(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    made = Database(settings.resolved_database_url)
    Base.metadata.create_all(made.writer)
    made.close()
    found = named(database.examine(settings))
    assert {name for name, finding in found.items() if finding.good} >= {"tables", "audit", "database", "size"}
    assert found["schema"].fatal, "made without migrations, so of no revision"
    assert found["backup"].state == "warning"


def test_what_is_missing_is_named() -> None:
    there = set(Base.metadata.tables) - {"power_windows", "audit_logs"}
    assert database.tables(there).words == "missing: audit_logs, power_windows"
    assert database.revision("0001", "0002").fatal
    assert database.revision("0002", "0002").good


@ON_A_FILE
def test_without_a_database_nothing_is_ready(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    (finding,) = database.examine(settings)
    assert finding.fatal
    (finding,) = models.examine(settings)
    assert finding.fatal
    assert not settings.runtime_path.exists(), "looking made nothing"


@ON_A_FILE
def test_an_empty_database_is_a_finding_and_no_accident(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    settings.runtime_path.mkdir(parents=True)
    (settings.runtime_path / "vx11.db").touch()
    assert named(database.examine(settings))["tables"].fatal
    assert named(models.examine(settings))["models"].words == "None can chat."


def test_a_database_that_grew_too_large_is_noted(tmp_path: Path) -> None:
    file, log = tmp_path / "vx11.db", tmp_path / "vx11.db-wal"
    file.touch()
    assert database.size(file).good
    with log.open("wb") as sparse:
        sparse.truncate(database.LARGEST_BYTES + 1)
    assert database.size(file).state == "warning"


def row(settings: Settings, **changes: Any) -> LocalModelV2:
    clock = ManualClock()
    given = {"name": "m", "engine": "llama.cpp", "path": "m.gguf", "size_bytes": 4, "sha256": "0" * 64}
    more = {"task_type": "chat", "max_context": 1, "enabled": True, "compatibility": "ok", "tags": [], "meta_info": {}}
    times = {"created_at": clock.now(), "updated_at": clock.now(), "last_used_at": None}
    settings.models_path.mkdir(exist_ok=True)
    return LocalModelV2(**{**given, **more, **times, **changes})


def test_a_model_is_its_file(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    model = row(settings)
    assert models.file_of(model, settings.models_path).words == "Its file m.gguf is gone."
    (settings.models_path / "m.gguf").write_bytes(b"abc")
    assert "has 3 bytes, its row says 4" in models.file_of(model, settings.models_path).words
    (settings.models_path / "m.gguf").write_bytes(b"abcd")
    assert models.file_of(model, settings.models_path).good
    assert models.any_chat([model]).good
    assert models.any_chat([row(settings, task_type="embedding")]).fatal


def test_only_enabled_models_count(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    made = Database(settings.resolved_database_url)
    Base.metadata.create_all(made.writer)
    with made.write() as session:
        session.add(row(settings, enabled=False))
    made.close()
    found = named(models.examine(settings))
    assert found["models"].fatal
    assert "m" not in found


def logged(folder: Path, *records: dict[str, object] | str) -> Path:
    folder.mkdir(exist_ok=True)
    lines = (one if isinstance(one, str) else json.dumps(one) for one in records)
    (folder / "switch.log").write_text("".join(f"{line}\n" for line in lines))
    return folder


def error(message: str, ago: timedelta) -> dict[str, object]:
    return {"time": (NOW - ago).strftime("%Y-%m-%dT%H:%M:%S%z"), "level": "ERROR", "message": message}


def test_quiet_logs_are_well(tmp_path: Path) -> None:
    folder = logged(tmp_path / "logs", {"level": "INFO", "message": "up"}, "no JSON", error("old", timedelta(hours=2)))
    assert all(finding.good for finding in logs.examine(folder, TOKEN, NOW))


def test_what_went_wrong_lately_is_noted(tmp_path: Path) -> None:
    folder = logged(tmp_path / "logs", error("first", timedelta(minutes=9)), error("last", timedelta(minutes=1)))
    noted = named(logs.examine(folder, TOKEN, NOW))["switch"]
    assert (noted.state, noted.words) == ("warning", "2 errors in the last hour, the last: last")


@pytest.mark.parametrize("secret", ["a-token-somebody-chose", TOKEN, f"eyJ{'a' * 20}.eyJ{'b' * 20}.{'c' * 20}"])
def test_a_credential_in_a_log_forbids_production(tmp_path: Path, secret: str) -> None:
    folder = logged(tmp_path / "logs", f"GET /x {secret} 200")
    finding = named(logs.examine(folder, "a-token-somebody-chose", NOW))["log secrecy"]
    assert finding.fatal
    assert secret not in finding.words


def test_without_files_the_engine_keeps_the_logs(tmp_path: Path) -> None:
    (finding,) = logs.examine(tmp_path / "none", TOKEN, NOW)
    assert finding.good


def test_the_public_token_is_for_this_machine_alone() -> None:
    assert secrecy.admin_token(COMPOSE_TOKEN, "127.0.0.1").state == "warning"
    assert secrecy.admin_token(COMPOSE_TOKEN, "0.0.0.0").fatal
    assert secrecy.admin_token("short", "127.0.0.1").state == "warning"
    good = secrecy.admin_token(TOKEN, "0.0.0.0")
    assert good.good
    assert TOKEN not in good.words


def test_what_others_can_read_forbids_production(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    settings.runtime_path.mkdir(parents=True, mode=0o700)
    (tmp_path / ".env").write_text("VX11_TOKEN=x")
    (tmp_path / ".env").chmod(0o644)
    found = named(secrecy.examine(settings, TOKEN, tmp_path))
    assert found["runtime"].good
    assert found[".env"].fatal
    (tmp_path / ".env").chmod(0o600)
    assert named(secrecy.examine(settings, TOKEN, tmp_path))[".env"].good


def test_notes_do_not_forbid_production_and_failures_do(tmp_path: Path) -> None:
    fine = {"Services": [ok("a", "well")], "Logs": [warning("b", "so | so\nand so", "look")]}
    assert report.is_ready(fine)
    file = tmp_path / "deep" / "page.md"
    report.write(fine, NOW, file)
    text = file.read_text()
    assert "2026-11-21T12:00:00.000Z: **ready for production**. 2 findings, 0 failures, 1 notes." in text
    assert "| b | note | so \\| so and so | look |" in text
    bad = {**fine, "Secrets": [failure("c", "open", "close it")]}
    assert not report.is_ready(bad)
    assert "**not ready for production**" in report.page(bad, NOW)
