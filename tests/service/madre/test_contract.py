"""Every call and every flag of power as the contract promises them (CONTRACT, section 4): names, shapes, statuses."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import BaseSettings

from config.settings import PowerSettings, RetentionSettings, Settings
from scripts.doctor.settings_table import rows
from tests.support.clock import ManualClock
from tests.support.eventually import eventually
from tests.support.power import madre_in

WINDOW = {
    "window_id",
    "services",
    "mode",
    "state",
    "opened_by",
    "reason",
    "created_at",
    "deadline",
    "ttl_remaining_sec",
    "closed_at",
    "close_reason",
    "exec",
}
STATE = {"policy", "windows", "window_id", "deadline", "ttl_remaining_sec", "active_services", "services"}


async def test_the_state_has_every_field_and_its_singular_ones_speak_of_the_window_that_ends_last(
    tmp_path: Path,
) -> None:
    async with madre_in(tmp_path) as madre:
        empty = await madre.get("state")
        assert empty.keys() == STATE
        assert (empty["policy"], empty["window_id"], empty["active_services"]) == (
            "solo_madre",
            None,
            ["tentaculo_link", "madre"],
        )
        await madre.open("hermes", ttl_sec=60)
        late = await madre.open("switch", ttl_sec=120)
        state = await madre.get("state")
        assert (state["policy"], state["window_id"], state["deadline"]) == (
            "windowed",
            late["window_id"],
            late["deadline"],
        )
        assert 119 <= state["ttl_remaining_sec"] <= 120
        assert {"name", "state", "since", "restarts", "memory_mb"} <= state["services"][0].keys()
        assert len(state["services"]) == 10


async def test_a_window_has_every_field_and_the_defaults_of_the_contract(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        window = await madre.open("switch")
        assert window.keys() == WINDOW
        assert (window["mode"], window["state"], window["services"]) == ("ttl", "open", ["switch"])
        assert 599 <= window["ttl_remaining_sec"] <= 600
        assert window["exec"].keys() == {"driver", "rc", "elapsed_ms", "output"}
        assert (window["exec"]["rc"], window["exec"]["output"]) == (0, "switch ready")
        deadline = datetime.fromisoformat(window["deadline"])
        assert deadline.tzinfo == UTC
        assert window["deadline"].endswith("Z")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"services": ["nonsense"]}, 422),
        ({"services": ["madre"]}, 422),
        ({"services": ["shub"]}, 422),
        ({"services": []}, 422),
        ({"services": ["switch; rm -rf /"]}, 422),
        ({"services": ["switch"], "ttl_sec": 0}, 422),
        ({"services": ["switch"], "ttl_sec": 3601}, 422),
        ({"services": ["switch"], "mode": "forever"}, 422),
        ({"services": ["switch"], "unknown": 1}, 422),
        ({"services": ["switch"], "ttl_sec": 1}, 201),
        ({"services": ["switch"], "ttl_sec": 3600, "wait": False}, 201),
        ({"services": ["switch"], "skip_health": True, "mode": "hold"}, 201),
    ],
    ids=str,
)
async def test_what_may_be_opened(tmp_path: Path, body: dict[str, Any], status: int) -> None:
    async with madre_in(tmp_path) as madre:
        answer = await madre.post("window/open", body, status)
        assert answer.get("code", "invalid") == "invalid"
        assert bool(madre.driver.told) <= (status == 201)


async def test_a_start_that_fails_is_500_after_rollback(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        madre.driver.look_sec = 0.5
        madre.driver.script("switch").dies_at_once = True
        madre.driver.script("switch").last_words = "no such file"
        await madre.post("window/open", {"services": ["hermes", "switch"], "wait": False}, 201)
        await eventually(partial(madre.get, "windows"), lambda windows: windows["items"][0]["state"] == "error")
        problem = await madre.post("window/open", {"services": ["switch"]}, 500)
        assert (problem["code"], "no such file" in problem["detail"]) == ("start_failed", True)
        await eventually(lambda: madre.state_of("hermes"), lambda state: state == "asleep")


async def test_hold_extend_close_and_what_is_over(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        assert (await madre.post("window/close", {}, 404))["code"] == "not_found"
        assert (await madre.post("window/close", {"window_id": "w"}, 404))["code"] == "not_found"
        window_id = (await madre.open("switch"))["window_id"]
        held = await madre.post("window/hold", {"window_id": window_id, "hold": True})
        assert (held["mode"], held["deadline"], held["ttl_remaining_sec"]) == ("hold", None, None)
        released = await madre.post("window/hold", {"window_id": window_id, "hold": False})
        assert (released["mode"], released["deadline"] is None) == ("ttl", False)
        extended = await madre.post("window/extend", {"window_id": window_id, "ttl_sec": 30})
        assert 29 <= extended["ttl_remaining_sec"] <= 30
        closed = await madre.post("window/close")
        assert closed["window_id"] == window_id
        assert (await madre.post("window/close", {"window_id": window_id}))["window_id"] == window_id
        for path, body in (("hold", {"hold": True}), ("extend", {"ttl_sec": 30})):
            over = await madre.post(f"window/{path}", {"window_id": window_id, **body}, 409)
            assert over["code"] == "conflict"


async def test_windows_are_listed_page_by_page_newest_first(tmp_path: Path) -> None:
    clock = ManualClock()
    async with madre_in(tmp_path, clock=clock) as madre:
        made = []
        for service in ("switch", "hermes", "switch"):
            made.append((await madre.open(service))["window_id"])
            await madre.post("window/close", {"window_id": made[-1]})
            clock.advance(1)
        first = await madre.get("windows?limit=2")
        assert first.keys() == {"items", "next_cursor"}
        rest = await madre.get(f"windows?limit=2&cursor={first['next_cursor']}")
        assert [window["window_id"] for window in first["items"] + rest["items"]] == made[::-1]
        assert rest["next_cursor"] is None


async def test_a_key_is_good_for_one_window(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        body, key = {"services": ["switch"], "mode": "hold"}, {"Idempotency-Key": "k-1"}
        answers = [await madre.client.post("/madre/power/window/open", json=body, headers=key) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 201]
        assert answers[0].json() == answers[1].json()
        other = await madre.client.post("/madre/power/window/open", json={"services": ["hermes"]}, headers=key)
        assert other.status_code == 422


def defaults(group: BaseSettings) -> dict[str, str]:
    return {row.name: row.default for row in rows(group)}


def test_the_settings_people_rely_on_have_their_names_and_defaults() -> None:
    power = defaults(PowerSettings())
    promised = {
        "VX11_POWER_WAKE": "auto",
        "VX11_POWER_WAKE_TTL_SEC": "600",
        "VX11_POWER_WINDOWS_TIMEOUT_SEC": "30",
        "VX11_POWER_WINDOWS_TTL_CHECK_INTERVAL": "1",
        "VX11_POWER_WINDOWS_ENABLED": "1",
        "VX11_POWER_POLICY": "solo_madre",
        "VX11_POWER_DRIVER": "process",
        "VX11_POWER_WINDOWS_CORE_MODE": "0",
    }
    assert {name: power.get(name, "").removesuffix(".0") for name in promised} == promised
    whole = {row.name for row in rows(Settings())}
    assert {"VX11_TOKEN", "VX11_DATABASE_URL", "VX11_MODELS_PATH", "VX11_DATA_PATH", "VX11_MODEL_MEMORY_MB"} <= whole
    assert {"VX11_LOG_LEVEL", "VX11_BIND", "VX11_ALLOW_SERVICE_CONTROL"} <= whole
    terms = defaults(RetentionSettings())
    assert (terms["VX11_RETENTION_AUDIT_LOGS_DAYS"], terms["VX11_RETENTION_EVENTS_DAYS"]) == ("90", "30")
