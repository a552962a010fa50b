"""The fleet at a glance."""

from __future__ import annotations

import io
from typing import Any

from config.contracts.status import FleetStatus
from scripts.cli.board import board
from scripts.terminal import Terminal

TERMINAL = Terminal(io.StringIO(), live=False)
_UNKNOWN_BYTES = {"read_bytes": None, "written_bytes": None}
WINDOW = {
    "window_id": "w1",
    "services": ["switch"],
    "mode": "ttl",
    "state": "open",
    "opened_by": "ana",
    "reason": "a demo",
    "created_at": "2026-11-21T00:00:00Z",
    "deadline": None,
    "ttl_remaining_sec": 90,
    "closed_at": None,
    "close_reason": None,
}


def service(name: str, state: str, memory: float | None = None, restarts: int = 0) -> dict[str, Any]:
    return {"name": name, "port": 8000, "state": state, "memory_mb": memory, "restarts": restarts}


def shown(**changes: Any) -> str:
    status = {
        "version": "0",
        "time": "2026-11-21T00:00:00Z",
        "policy": "solo_madre",
        "windows": [],
        "engine_mode": None,
        "services": [service("madre", "ready", 40.0), service("switch", "asleep"), service("shub", "absent")],
        "queue": None,
        "degraded": False,
        "notes": [],
    }
    return "\n".join(board(FleetStatus.model_validate({**status, **changes}), TERMINAL))


def test_present_services_have_a_line_and_absent_ones_share_one() -> None:
    text = shown()
    assert "policy solo_madre, 40 MB in all" in text
    assert "madre            ready     :8000    40 MB" in text
    assert "not in this build: shub" in text
    assert len(text.splitlines()) == 4


def test_memory_nobody_measured_is_left_empty() -> None:
    (line,) = (line for line in shown().splitlines() if "switch" in line)
    assert "MB" not in line


def test_the_last_minute_is_told_where_it_is_known() -> None:
    usage = {"cpu_sec": 9, "cpu_percent": 12.34, "memory_mb": 40, "memory_limit_mb": 128}
    traffic = {"over_sec": 60, "requests": 7, "errors": 2, "p50_ms": 1.5, "p99_ms": 80.4}
    known = {**service("switch", "ready", 40.0), "figures": {"usage": usage | _UNKNOWN_BYTES, "traffic": traffic}}
    assert "40 MB  12.3 % CPU  7 requests, p99 80 ms, 2 errors" in shown(services=[known])
    quiet = {**traffic, "requests": 0, "errors": 0, "p50_ms": None, "p99_ms": None}
    known["figures"] = {"usage": {**usage, "cpu_percent": None} | _UNKNOWN_BYTES, "traffic": quiet}
    assert shown(services=[known]).splitlines()[1].endswith("40 MB")


def test_windows_count_down_and_a_held_one_does_not() -> None:
    assert "window w1: switch, 1 min 30 s left, by ana (a demo)" in shown(windows=[WINDOW])
    assert "switch, held open, by ana" in shown(windows=[{**WINDOW, "mode": "hold", "ttl_remaining_sec": None}])


def test_restarts_and_notes_are_said() -> None:
    text = shown(services=[service("switch", "failed", restarts=3)], notes=["madre could not be asked"], policy=None)
    assert "restarted 3 times" in text
    assert "note: madre could not be asked" in text
    assert "policy unknown" in text
