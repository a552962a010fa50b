"""What madre makes of a driver that cannot start a service, takes its time, or does not answer at all."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.support.clock import ManualClock
from tests.support.eventually import eventually
from tests.support.power import Madre, madre_in


async def driver_answers(madre: Madre) -> bool:
    health = (await madre.client.get("/health")).json()
    assert (health["status"] == "ok") == health["checks"]["driver_answers"]
    return bool(health["checks"]["driver_answers"])


async def test_a_service_that_cannot_even_begin_fails_its_window_and_says_why(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        madre.driver.script("switch").cannot_begin = "no such image"
        madre.driver.script("switch").last_words = "no such image"
        body = {"services": ["switch", "hermes"]}
        madre.driver.look_sec = 0.5
        answer = await madre.client.post("/madre/power/window/open", json=body)
        window = (await madre.get("windows"))["items"][0]
        assert (answer.status_code, answer.json()["code"]) == (500, "start_failed")
        assert (window["state"], window["close_reason"]) == ("error", "switch would not stay up.\nno such image")
        assert (await madre.state_of("switch"), await madre.state_of("hermes")) == ("failed", "asleep")


async def test_who_is_told_to_end_brings_nothing_back(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        await madre.open("switch")
        told = list(madre.driver.told)
        madre.house.is_ending = True
        madre.driver.crash("switch")  # as `docker compose down` ends it, beside her
        await eventually(lambda: madre.state_of("switch"), lambda state: state == "asleep")
        for _ in range(3):
            await madre.wake("hermes", wait_sec=0.1)
        assert madre.driver.told == told


async def test_a_windows_time_begins_once_it_is_open(tmp_path: Path) -> None:
    clock = ManualClock()
    async with madre_in(tmp_path, clock=clock, power={"windows_timeout_sec": 30}) as madre:
        madre.driver.script("switch").becomes_ready = False
        opening = asyncio.create_task(madre.open("switch", ttl_sec=5))
        await eventually(lambda: madre.state_of("switch"), lambda state: state == "starting")
        clock.advance(20)
        madre.driver.script("switch").becomes_ready = True
        window = await opening
        assert (window["state"], window["ttl_remaining_sec"]) == ("open", 5)
        clock.advance(5)
        await eventually(lambda: madre.state_of("switch"), lambda state: state == "asleep")


async def test_while_the_driver_is_silent_madre_says_so_and_then_catches_up(tmp_path: Path) -> None:
    clock = ManualClock()
    async with madre_in(tmp_path, clock=clock) as madre:
        await madre.open("switch", ttl_sec=60)
        held = await madre.open("hermes", ttl_sec=600)
        madre.driver.silent = True
        await eventually(lambda: driver_answers(madre), lambda answers: not answers)
        madre.driver.crash("hermes")
        clock.advance(60)
        assert {"switch", "hermes"} <= set((await madre.get("state"))["active_services"])  # as last seen
        madre.driver.silent = False
        await eventually(lambda: driver_answers(madre), bool)
        await eventually(lambda: madre.state_of("switch"), lambda state: state == "asleep")
        clock.advance(1)
        await eventually(lambda: madre.state_of("hermes"), lambda state: state == "ready")
        state = await madre.get("state")
        assert [one["window_id"] for one in state["windows"]] == [held["window_id"]]
