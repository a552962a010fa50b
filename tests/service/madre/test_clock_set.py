"""Somebody sets the clock: deadlines are moments, so they follow it; what was measured stays as long as it was."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from madre.lives import LONGEST_PAUSE_SEC
from tests.support.clock import ManualClock
from tests.support.eventually import eventually
from tests.support.power import madre_in

HOUR = 3600.0


async def test_set_forward_it_ends_windows_whose_deadline_is_past_and_no_other(tmp_path: Path) -> None:
    clock = ManualClock()
    async with madre_in(tmp_path, clock=clock) as madre:
        await madre.open("switch", ttl_sec=600)
        held = await madre.open("hermes", mode="hold")
        clock.set_by(HOUR)
        await eventually(lambda: madre.state_of("switch"), lambda state: state == "asleep")
        state = await madre.get("state")
        assert [window["window_id"] for window in state["windows"]] == [held["window_id"]]
        assert await madre.state_of("hermes") == "ready"


async def test_set_back_it_leaves_windows_open_and_they_can_be_closed(tmp_path: Path) -> None:
    clock = ManualClock()
    async with madre_in(tmp_path, clock=clock) as madre:
        window = await madre.open("switch", ttl_sec=600)
        clock.set_by(-HOUR)
        state = await madre.get("state")
        assert (state["deadline"], state["ttl_remaining_sec"]) == (window["deadline"], 600 + HOUR)
        shorter = await madre.post("window/extend", {"window_id": window["window_id"], "ttl_sec": 60})
        assert shorter["ttl_remaining_sec"] == 60
        closed = await madre.post("window/close", {})
        assert (closed["state"], await madre.state_of("switch")) == ("closed", "asleep")


@pytest.mark.parametrize("by", [HOUR, -HOUR])
async def test_a_service_that_is_starting_has_all_its_time_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, by: float
) -> None:
    clock = ManualClock()
    async with madre_in(tmp_path, clock=clock, power={"windows_timeout_sec": 30}) as madre:
        madre.driver.script("switch").becomes_ready = False
        opening = asyncio.create_task(
            madre.client.post("/madre/power/window/open", json={"services": ["switch"], "mode": "hold"})
        )
        await eventually(lambda: madre.state_of("switch"), lambda state: state == "starting")
        clock.advance(29)
        clock.set_by(by)
        await eventually(lambda: noticed(caplog), bool)
        assert await madre.state_of("switch") == "starting"
        clock.advance(1)
        answer = await opening
        assert (answer.status_code, answer.json()["code"]) == (500, "start_failed")


async def noticed(caplog: pytest.LogCaptureFixture) -> bool:
    return "the clock was set by" in caplog.text


@pytest.mark.parametrize("by", [HOUR, -HOUR])
async def test_a_crashed_service_comes_back_after_its_pause(tmp_path: Path, by: float) -> None:
    clock = ManualClock()
    async with madre_in(tmp_path, clock=clock) as madre:
        await madre.open("switch", mode="hold")
        madre.driver.crash("switch")
        await eventually(lambda: madre.state_of("switch"), lambda state: state == "asleep")
        clock.set_by(by)
        clock.advance(LONGEST_PAUSE_SEC)
        await eventually(lambda: madre.state_of("switch"), lambda state: state == "ready")
