"""The conductor: it waits for a quiet machine, stops at the first failure, leaves the fleet as it was, and tells."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.contracts.status import FleetStatus
from scripts.cli.failure import CommandFailed
from scripts.conductor.conducting import Conductor, taken
from scripts.conductor.evidence import Evidence
from scripts.conductor.machine import Looks, Machine
from scripts.conductor.phases import open_window, verify_solo_madre
from scripts.conductor.stage import Stage
from scripts.terminal import Terminal
from tests.support.front_door import Gateway, door_to

BEGAN = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
OURS = {
    "window_id": "w1",
    "services": ["switch"],
    "mode": "ttl",
    "state": "open",
    "opened_by": "admin",
    "reason": "",
    "created_at": "2026-11-21T12:00:00Z",
    "deadline": "2026-11-21T12:30:00Z",
    "ttl_remaining_sec": 1800,
    "closed_at": None,
    "close_reason": None,
}
WOKEN = {**OURS, "window_id": "w2", "opened_by": "wake"}
CLOSED = {**OURS, "state": "closed"}


def measured(cpu_sec: float) -> dict[str, Any]:
    usage = {"cpu_sec": cpu_sec, "cpu_percent": None, "memory_mb": 50, "memory_limit_mb": 128}
    return {"usage": {**usage, "read_bytes": None, "written_bytes": None}, "traffic": None}


def power(policy: str = "solo_madre", switch: str = "asleep", *windows: dict[str, Any]) -> dict[str, Any]:
    states = {"tentaculo_link": "ready", "madre": "ready", "switch": switch, "shub": "absent"}
    services = [{"name": n, "state": s, "since": None, "restarts": 0, "memory_mb": None} for n, s in states.items()]
    singular = {"window_id": None, "deadline": None, "ttl_remaining_sec": None}
    return {"policy": policy, "windows": list(windows), **singular, "active_services": [], "services": services}


def status(policy: str = "solo_madre", switch: str = "asleep", cpu_sec: float | None = None) -> dict[str, Any]:
    one = {"name": "switch", "port": 8002, "state": switch, "memory_mb": None, "restarts": 0}
    figures = measured(cpu_sec) if cpu_sec is not None else {}
    return {
        "version": "0",
        "time": "2026-11-21T12:00:00Z",
        "policy": policy,
        "services": [{**one, "figures": figures}],
        "windows": [],
        "engine_mode": None,
        "queue": None,
        "degraded": False,
        "notes": [],
    }


def a_gateway() -> Gateway:
    gateway = Gateway()
    gateway.on("GET", "/vx11/status", status())
    gateway.on("GET", "/madre/power/state", power())
    gateway.on("POST", "/madre/power/window/close", CLOSED)
    return gateway


@contextmanager
def stage_on(gateway: Gateway) -> Iterator[Stage]:
    with door_to(gateway) as door:
        yield Stage(door, lambda _service: door_to(gateway))


def proc(folder: Path, *busy_of_100: int) -> Callable[[float], None]:
    """A made-up /proc whose CPU was busy so many percent of each pause; what passes the time in it."""
    (folder / "proc").mkdir(exist_ok=True)
    (folder / "proc/meminfo").write_text("MemTotal: 2048000 kB\nMemFree: 1 kB\nMemAvailable: 1024000 kB\n")
    shares, ticks = iter(busy_of_100), [1000, 1000]

    def write() -> None:
        (folder / "proc/stat").write_text(f"cpu {ticks[0]} 0 0 {ticks[1]} 0 0 0 0 0 0\ncpu0 1 1 1 1\n")

    def pause(_seconds: float) -> None:
        busy = next(shares)
        ticks[0], ticks[1] = ticks[0] + busy, ticks[1] + 100 - busy
        write()

    write()
    return pause


def test_a_busy_machine_is_waited_for(tmp_path: Path) -> None:
    machine = Machine(tmp_path, proc(tmp_path, 95, 71, 70))
    assert machine.settle(70, patience_sec=60) == 2.0


def test_patience_ends(tmp_path: Path) -> None:
    machine = Machine(tmp_path, proc(tmp_path, *[80] * 5))
    with pytest.raises(CommandFailed, match=r"above 70 % for 3 s \(80 % at last\)"):
        machine.settle(70, patience_sec=3)


def test_what_was_seen_is_told_in_numbers(tmp_path: Path) -> None:
    pause = proc(tmp_path, 40)
    machine, looks = Machine(tmp_path, pause), Looks()
    with machine.watched(looks):
        pause(1)
    numbers = looks.in_numbers()
    assert numbers["cpu_percent_max"] == 40.0
    assert numbers["memory_used_mb_max"] == 1000
    assert Looks().in_numbers() == {}


def conductor(stage: Stage, folder: Path) -> Conductor:
    machine = Machine(folder, proc(folder, *[10] * 20))
    return Conductor(stage, Evidence(folder / "audit", BEGAN), machine, max_cpu=70, patience_sec=5)


def test_phases_are_played_in_order_and_told_of(tmp_path: Path) -> None:
    gateway, stream, played = a_gateway(), io.StringIO(), list[str]()
    gateway.on("GET", "/vx11/status", status(cpu_sec=2.0), status(cpu_sec=3.25))

    def first(stage: Stage) -> None:
        played.append("first")
        stage.note("a thing", colour="red")

    with stage_on(gateway) as stage:
        phases = (("first", first), ("second", lambda _stage: played.append("second")))
        assert conductor(stage, tmp_path).play(Terminal(stream, live=False), phases)
    assert played == ["first", "second"]
    folder = tmp_path / "audit" / "20261121T120000Z_E2E_TEST_CONDUCTOR_v1"
    kept = json.loads((folder / "phases.json").read_text())
    assert (kept["passed"], kept["began"]) == (True, "2026-11-21T12:00:00.000Z")
    assert [phase["phase"] for phase in kept["phases"]] == ["first", "second"]
    assert kept["phases"][0]["notes"] == [{"what": "a thing", "colour": "red"}]
    assert kept["phases"][0]["services"] == {"switch": {"cpu_sec": 1.25, "memory_mb": 50}}
    assert kept["phases"][0]["machine"]["memory_used_mb_max"] == 1000
    summary = (folder / "SUMMARY.md").read_text()
    assert "2026-11-21T12:00:00.000Z: passed" in summary
    assert "switch 1.25" in summary
    assert (folder / "machine.csv").read_text().startswith("phase,at_sec,cpu_percent,memory_used_mb\nfirst,")


def test_the_first_failure_is_the_end_and_nothing_is_left_behind(tmp_path: Path) -> None:
    gateway, stream = a_gateway(), io.StringIO()
    gateway.on("GET", "/madre/power/state", power("windowed", "ready", OURS, WOKEN))
    gateway.on("POST", "/madre/power/policy/full/apply", {"policy": "full", "active": True, "applied": True})

    def fails(stage: Stage) -> None:
        stage.window = FleetStatus.model_validate({**status(), "windows": [OURS]}).windows[0]
        stage.restores_full = True
        raise CommandFailed("It broke.", "Mend it.")

    with stage_on(gateway) as stage:
        phases = (("fails", fails), ("never", lambda _stage: pytest.fail("it was begun")))
        assert not conductor(stage, tmp_path).play(Terminal(stream, live=False), phases)
    closed = [body["window_id"] for method, path, body in gateway.asked if path.endswith("window/close")]
    assert closed == ["w1", "w2"]
    assert gateway.asked[-1][1] == "/madre/power/policy/full/apply"
    assert "FAIL fails        It broke. Mend it." in stream.getvalue()
    summary = (tmp_path / "audit" / "20261121T120000Z_E2E_TEST_CONDUCTOR_v1" / "SUMMARY.md").read_text()
    assert "| never | not begun |" in summary
    assert "**fails** failed: It broke. Mend it." in summary


def test_a_machine_that_never_quiets_is_a_failure_with_evidence(tmp_path: Path) -> None:
    machine = Machine(tmp_path, proc(tmp_path, *[99] * 9))
    with stage_on(a_gateway()) as stage:
        evidence = Evidence(tmp_path / "audit", BEGAN)
        busy = Conductor(stage, evidence, machine, max_cpu=70, patience_sec=3)
        phases = (("never", lambda _stage: pytest.fail("it was begun")),)
        assert not busy.play(Terminal(io.StringIO(), live=False), phases)
    assert "stayed above 70 %" in (evidence.path / "SUMMARY.md").read_text()


def test_a_window_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    gateway = a_gateway()
    gateway.on("GET", "/madre/power/state", power("windowed", "ready", {**OURS, "opened_by": "ana"}))
    with stage_on(gateway) as stage, pytest.raises(CommandFailed, match="w1 by ana"):
        open_window(stage)
    assert [path for method, path, _ in gateway.asked if method == "POST"] == []


def test_full_becomes_solo_madre_for_the_run(tmp_path: Path) -> None:
    gateway = a_gateway()
    gateway.on("GET", "/madre/power/state", power("full", "ready"), power("full", "ready"), power())
    gateway.on("POST", "/madre/power/policy/solo_madre/apply", {"policy": "solo_madre", "active": True})
    gateway.on("POST", "/madre/power/window/open", OURS, status=201)
    gateway.on("GET", "/vx11/status", status("windowed", "ready"))
    with stage_on(gateway) as stage:
        open_window(stage)
        assert stage.restores_full
        assert stage.opened.window_id == "w1"
    opened = [body["services"] for _, path, body in gateway.asked if path.endswith("window/open")]
    assert opened == [["switch"], ["switch"]], "every sleeper that is present, asked for twice"


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ({"opened": {**OURS, "state": "opening"}}, "The window is opening"),
        ({"again": {**OURS, "window_id": "w9"}}, "made a second window"),
        ({"status": status("solo_madre", "ready")}, "not as windowed"),
        ({"status": status("windowed", "starting")}, "switch is starting although"),
    ],
)
def test_a_window_that_did_not_open_well_fails(answers: dict[str, Any], complaint: str) -> None:
    gateway = a_gateway()
    gateway.on("POST", "/madre/power/window/open", answers.get("opened", OURS), answers.get("again", OURS), status=201)
    gateway.on("GET", "/vx11/status", answers.get("status", status("windowed", "ready")))
    with stage_on(gateway) as stage, pytest.raises(CommandFailed, match=complaint):
        open_window(stage)


def looked_over(**findings: Any) -> dict[str, Any]:
    return {"applied": False, "integrity": "ok", "findings": {"audit_rows": 3, "audit_broken_at": None, **findings}}


@pytest.mark.parametrize(
    ("seen", "report", "complaint"),
    [
        (power("windowed", "asleep", OURS), looked_over(), "shows as windowed"),
        (power("solo_madre", "asleep", WOKEN), looked_over(), "1 windows are left"),
        (power(), {**looked_over(), "integrity": "row 7 missing"}, "row 7 missing"),
        (power(), looked_over(audit_broken_at=2), "audit chain is broken"),
    ],
)
def test_what_is_not_solo_madre_fails(seen: dict[str, Any], report: dict[str, Any], complaint: str) -> None:
    gateway = a_gateway()
    gateway.on("GET", "/madre/power/state", seen)
    gateway.on("POST", "/madre/power/maintenance", report)
    with stage_on(gateway) as stage, pytest.raises(CommandFailed, match=complaint):
        verify_solo_madre(stage)


def test_only_what_is_there_can_be_asked_for() -> None:
    with stage_on(a_gateway()) as stage:
        stage.wanted = ("shub",)
        with pytest.raises(CommandFailed, match="shub"):
            stage.sleepers()


def test_a_service_that_began_anew_has_used_what_it_counts_now() -> None:
    before = FleetStatus.model_validate(status(cpu_sec=9.0))
    after = FleetStatus.model_validate(status(cpu_sec=0.5))
    assert taken(before, after) == {"switch": {"cpu_sec": 0.5, "memory_mb": 50}}


def test_an_event_is_read_off_the_stream() -> None:
    gateway = Gateway()

    def event(number: int, window: str) -> dict[str, Any]:
        kind = {"type": "power.window.open", "source": "madre", "severity": "info", "correlation_id": ""}
        return {"id": number, **kind, "timestamp": "2026-11-21T12:00:00Z", "data": {"window_id": window}}

    text = "".join(f"id: {n}\ndata: {json.dumps(event(n, w))}\n\n" for n, w in ((1, "w0"), (2, "w1")))
    gateway.on("GET", "/vx11/events", lambda _: httpx.Response(200, text=text))
    with door_to(gateway) as door:
        assert door.first_event("power.window.open", lambda found: found.data["window_id"] == "w1").id == 2
        with pytest.raises(CommandFailed, match="ended before"):
            door.first_event("power.window.open", lambda _: False)
