"""Waking on request, as the gateway asks for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.support.clock import ManualClock
from tests.support.eventually import eventually
from tests.support.power import madre_in


async def test_a_request_wakes_a_service_and_use_keeps_it_up(tmp_path: Path) -> None:
    clock = ManualClock()
    async with madre_in(tmp_path, clock=clock, power={"wake_ttl_sec": 100}) as madre:
        answer = await madre.wake("switch")
        assert answer.json() == {"service": "switch", "state": "ready", "lease_sec": 10.0}
        state = await madre.get("state")
        assert (state["policy"], state["windows"][0]["opened_by"]) == ("windowed", "wake")
        clock.advance(90)
        assert (await madre.wake("switch")).status_code == 200
        clock.advance(99)
        assert await madre.state_of("switch") == "ready"
        clock.advance(1)
        await eventually(lambda: madre.state_of("switch"), lambda seen: seen == "asleep")
        assert madre.driver.told == [("start", "switch"), ("stop", "switch")]


async def test_it_works_on_so_it_stays_up_past_its_deadline(tmp_path: Path) -> None:
    clock = ManualClock()
    async with madre_in(tmp_path, clock=clock, power={"wake_ttl_sec": 100, "window_max_sec": 250}) as madre:
        await madre.wake("switch")
        madre.driver.script("switch").work = 1
        for remaining_sec in (100, 50):
            clock.advance(100)
            await eventually(lambda: madre.get("state"), lambda seen: (seen["ttl_remaining_sec"] or 0) > 0)
            assert (await madre.get("state"))["ttl_remaining_sec"] == remaining_sec
        clock.advance(50)
        await eventually(lambda: madre.get("state"), lambda seen: seen["windows"] == [])
        assert await madre.state_of("switch") == "ready"
        madre.driver.script("switch").work = 0
        await eventually(lambda: madre.state_of("switch"), lambda seen: seen == "asleep")


async def test_many_at_once_start_it_once(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        answers = await asyncio.gather(*(madre.wake("switch") for _ in range(8)))
        assert {answer.status_code for answer in answers} == {200}
        assert madre.driver.told == [("start", "switch")]
        assert len((await madre.get("windows"))["items"]) == 1


async def test_asleep_by_policy_says_the_call_that_would_open_a_window(tmp_path: Path) -> None:
    async with madre_in(tmp_path, power={"wake": "manual"}) as madre:
        off = await madre.wake("switch")
        assert (off.status_code, off.json()["code"]) == (403, "off_by_policy")
        assert off.json()["hint"] == 'POST /madre/power/window/open {"services": ["switch"], "ttl_sec": 600}'
        await madre.open("switch", ttl_sec=20)
        held = (await madre.wake("switch")).json()
        assert (held["state"], held["lease_sec"]) == ("ready", 19.0)
        await madre.post("window/close")
        await madre.post("policy/full/apply")
        assert (await madre.wake("switch")).json()["lease_sec"] == 30.0


async def test_the_lease_of_a_request_is_not_the_window_that_somebody_means(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        await madre.wake("switch")
        assert (await madre.post("window/close", {}, 404))["code"] == "not_found"
        assert await madre.state_of("switch") == "ready"


async def test_a_lease_never_outlasts_what_holds_the_service(tmp_path: Path) -> None:
    async with madre_in(tmp_path, power={"wake": "manual"}) as madre:
        await madre.open("switch", ttl_sec=2)
        assert (await madre.wake("switch")).json()["lease_sec"] == 1.6


async def test_not_up_in_time_says_when_to_ask_again(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        madre.driver.script("switch").becomes_ready = False
        answer = await madre.wake("switch", wait_sec=0.05)
        assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "waking", "1")
        madre.driver.script("switch").becomes_ready = True
        assert (await madre.wake("switch")).status_code == 200
        assert madre.driver.told == [("start", "switch")]


async def test_what_keeps_dying_is_said_and_then_left_in_peace(tmp_path: Path) -> None:
    clock = ManualClock()
    async with madre_in(tmp_path, clock=clock) as madre:
        script = madre.driver.script("switch")
        script.dies_at_once, script.last_words = True, "switch ended with status 3."
        madre.driver.look_sec = 0.5
        failed = await madre.wake("switch", wait_sec=30)
        assert (failed.status_code, failed.json()["code"]) == (500, "start_failed")
        assert "status 3" in failed.json()["detail"]
        tries = len(madre.driver.told)
        assert (await madre.wake("switch")).json()["code"] == "start_failed"
        assert len(madre.driver.told) == tries
        script.dies_at_once = False
        clock.advance(5)
        assert (await madre.wake("switch")).status_code == 200


async def test_absent_unknown_core_and_too_large(tmp_path: Path) -> None:
    async with madre_in(tmp_path, power={"memory_mb": 300}) as madre:
        assert (await madre.wake("shub")).json()["code"] == "service_absent"
        assert (await madre.wake("nonsense")).json()["code"] == "not_found"
        assert (await madre.wake("madre")).json()["state"] == "ready"
        assert (await madre.wake("switch")).json()["code"] == "not_enough_memory"


async def test_only_services_may_wake(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        refused = await madre.client.post("/madre/power/wake", json={"service": "switch"})
        assert (refused.status_code, refused.json()["code"]) == (403, "role_required")
