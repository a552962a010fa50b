"""Windows over HTTP, from opening to every end they can come to."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sqlalchemy import select

from config import audit
from config.db_schema import AuditLog, EventRow, PowerEvent
from tests.support.clock import ManualClock
from tests.support.eventually import eventually
from tests.support.house import house_in
from tests.support.power import Madre, ScriptedDriver, madre_in


async def ended(madre: Madre, window_id: str) -> dict[str, object]:
    async def look() -> dict[str, object]:
        return next(one for one in (await madre.get("windows"))["items"] if one["window_id"] == window_id)

    return await eventually(look, lambda one: one["state"] in ("closed", "expired", "error"))


async def test_opening_starts_what_it_names_and_closing_stops_it(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        window = await madre.open("switch", "hermes", ttl_sec=60, reason="work")
        assert (window["state"], window["services"], window["opened_by"]) == ("open", ["hermes", "switch"], "admin")
        assert (window["exec"]["rc"], window["exec"]["output"]) == (0, "hermes ready\nswitch ready")
        assert window["ttl_remaining_sec"] == 60
        state = await madre.get("state")
        assert (state["policy"], state["window_id"]) == ("windowed", window["window_id"])
        assert state["active_services"] == ["tentaculo_link", "madre", "switch", "hermes"]
        closed = await madre.post("window/close", {"window_id": window["window_id"]})
        assert (closed["state"], closed["close_reason"]) == ("closed", "closed by admin")
        assert (await madre.get("state"))["policy"] == "solo_madre"
        again = await madre.post("window/close", {"window_id": window["window_id"]})
        assert (again["state"], again["closed_at"]) == ("closed", closed["closed_at"])
        assert sorted(madre.driver.told) == [
            ("start", "hermes"),
            ("start", "switch"),
            ("stop", "hermes"),
            ("stop", "switch"),
        ]


async def test_the_deadline_ends_it_and_what_it_held_sleeps(tmp_path: Path) -> None:
    clock = ManualClock()
    async with madre_in(tmp_path, clock=clock) as madre:
        window = await madre.open("switch", ttl_sec=60)
        clock.advance(59)
        assert await madre.state_of("switch") == "ready"
        clock.advance(1)
        over = await ended(madre, window["window_id"])
        assert (over["state"], over["close_reason"], over["ttl_remaining_sec"]) == ("expired", "deadline", None)
        await eventually(lambda: madre.state_of("switch"), lambda state: state == "asleep")


async def test_overlapping_windows_hold_until_the_last_one_ends(tmp_path: Path) -> None:
    clock = ManualClock()
    async with madre_in(tmp_path, clock=clock) as madre:
        short = await madre.open("switch", ttl_sec=10)
        long = await madre.open("switch", "hermes", ttl_sec=100)
        assert (await madre.get("state"))["window_id"] == long["window_id"]
        clock.advance(10)
        await ended(madre, short["window_id"])
        await madre.open("hermes", wait=True)  # one full turn of the loop after the expiry
        assert await madre.state_of("switch") == "ready"
        assert ("stop", "switch") not in madre.driver.told
        closed = await madre.post("window/close", {"window_id": long["window_id"]})
        assert closed["state"] == "closed"
        assert await madre.state_of("switch") == "asleep"
        assert await madre.state_of("hermes") == "ready"


async def test_the_same_set_by_the_same_caller_extends_and_two_at_once_start_once(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        first, second = await asyncio.gather(madre.open("switch", ttl_sec=60), madre.open("switch", ttl_sec=90))
        assert first["window_id"] == second["window_id"]
        assert madre.driver.told == [("start", "switch")]
        assert (await madre.get("state"))["ttl_remaining_sec"] == 90


async def test_hold_and_extend(tmp_path: Path) -> None:
    clock = ManualClock()
    async with madre_in(tmp_path, clock=clock, power={"window_max_sec": 500}) as madre:
        window_id = (await madre.open("switch", ttl_sec=60))["window_id"]
        assert (await madre.post("window/extend", {"window_id": window_id, "ttl_sec": 100}))["ttl_remaining_sec"] == 100
        capped = await madre.post("window/extend", {"window_id": window_id, "ttl_sec": 3600})
        assert capped["ttl_remaining_sec"] == 500
        held = await madre.post("window/hold", {"window_id": window_id, "hold": True})
        assert (held["mode"], held["deadline"], held["ttl_remaining_sec"]) == ("hold", None, None)
        clock.advance(10_000)
        await madre.open("hermes")
        assert await madre.state_of("switch") == "ready"
        freed = await madre.post("window/hold", {"window_id": window_id, "hold": False})
        assert (freed["mode"], freed["ttl_remaining_sec"]) == ("ttl", 500)
        clock.advance(500)
        assert (await ended(madre, window_id))["state"] == "expired"
        gone = await madre.post("window/extend", {"window_id": window_id, "ttl_sec": 10}, 409)
        assert gone["code"] == "conflict"


async def test_what_may_not_be_opened_is_refused_with_names(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        refused = await madre.post("window/open", {"services": ["switch", "shub", "madre", "nonsense"]}, 422)
        assert refused["code"] == "invalid"
        assert {item["message"] for item in refused["errors"]} == {
            "absent from this build",
            "it never sleeps",
            "unknown service",
        }
        assert (await madre.get("windows"))["items"] == []
        wrong: list[dict[str, object]] = [{}, {"services": []}, {"services": ["switch"], "ttl_sec": 0}, {"servces": []}]
        for body in wrong:
            assert (await madre.post("window/open", body, 422))["code"] == "invalid"
        assert (await madre.post("window/close", {}, 404))["code"] == "not_found"
        assert (await madre.post("window/close", {"window_id": "window-none"}, 404))["code"] == "not_found"


async def test_what_does_not_fit_is_refused_with_the_sum(tmp_path: Path) -> None:
    async with madre_in(tmp_path, power={"memory_mb": 400}) as madre:
        await madre.open("switch")
        refused = await madre.post("window/open", {"services": ["hermes"]}, 409)
        assert refused["code"] == "not_enough_memory"
        assert "hermes 128 + madre 128 + switch 128 + tentaculo_link 128 = 512 MiB" in refused["detail"]
        assert (refused["wanted_mb"], refused["budget_mb"]) == (512, 400)
        assert (await madre.post("policy/full/apply", status=409))["code"] == "not_enough_memory"
        await madre.open("switch")


async def test_two_at_once_that_fit_only_one_by_one(tmp_path: Path) -> None:
    async with madre_in(tmp_path, power={"memory_mb": 400}) as madre:
        asked = [{"services": ["switch"]}, {"services": ["hermes"]}]
        answers = await asyncio.gather(*(madre.client.post("/madre/power/window/open", json=body) for body in asked))
        assert sorted(answer.status_code for answer in answers) == [201, 409]


async def test_a_service_that_dies_at_once_fails_the_window_with_its_last_words(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        script = madre.driver.script("switch")
        script.dies_at_once, script.last_words = True, "switch ended with status 1.\nno such file"
        body = {"services": ["switch", "hermes"]}
        madre.driver.look_sec = 0.5
        answer = await madre.client.post("/madre/power/window/open", json=body)
        window = (await madre.get("windows"))["items"][0]
        assert (answer.status_code, answer.json()["code"]) == (500, "start_failed")
        assert window["state"] == "error"
        assert window["close_reason"] == "switch would not stay up.\nswitch ended with status 1.\nno such file"
        assert (await madre.state_of("switch"), await madre.state_of("hermes")) == ("failed", "asleep")
        assert madre.driver.told.count(("start", "switch")) == 4
        script.dies_at_once = False
        assert (await madre.open("switch"))["state"] == "open"


async def test_a_service_that_never_becomes_ready_is_stopped_again_and_500_says_so(tmp_path: Path) -> None:
    clock = ManualClock()
    async with madre_in(tmp_path, clock=clock, power={"windows_timeout_sec": 30}) as madre:
        madre.driver.script("switch").becomes_ready = False
        madre.driver.script("switch").last_words = "waiting for a disk"
        body = {"services": ["switch", "hermes"]}
        opening = asyncio.create_task(madre.client.post("/madre/power/window/open", json=body))
        await eventually(lambda: madre.state_of("hermes"), lambda state: state == "ready")
        clock.advance(30)
        answer = await opening
        assert (answer.status_code, answer.json()["code"]) == (500, "start_failed")
        assert "waiting for a disk" in answer.json()["detail"]
        assert madre.driver.running == {}


async def test_not_waiting_and_not_asking_for_health(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        madre.driver.script("switch").becomes_ready = False
        unwaited = await madre.open("switch", wait=False)
        assert (unwaited["state"], unwaited["exec"]["output"]) == ("opening", "not waited for")
        skipped = await madre.open("switch", skip_health=True)
        assert (skipped["state"], skipped["exec"]["rc"]) == ("opening", 0)
        madre.driver.script("switch").becomes_ready = True
        assert (await madre.open("switch"))["state"] == "open"


async def test_a_busy_service_is_left_alone_until_it_is_idle(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        window = await madre.open("switch")
        madre.driver.script("switch").work = 2
        closing = await madre.post("window/close", {"window_id": window["window_id"]})
        assert closing["state"] == "closing"
        assert await madre.state_of("switch") == "ready"
        madre.driver.script("switch").work = 0
        assert (await ended(madre, window["window_id"]))["state"] == "closed"
        assert await madre.state_of("switch") == "asleep"


async def test_a_service_that_does_not_say_is_taken_for_busy_but_not_for_ever(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        window = await madre.open("switch")
        madre.driver.script("switch").work = None
        assert (await madre.post("window/close", {"window_id": window["window_id"]}))["state"] == "closing"
        assert (await ended(madre, window["window_id"]))["state"] == "closed"


async def test_a_crash_inside_a_window_is_mended(tmp_path: Path) -> None:
    clock = ManualClock()
    async with madre_in(tmp_path, clock=clock) as madre:
        await madre.open("switch")
        madre.driver.crash("switch")
        await eventually(lambda: madre.state_of("switch"), lambda state: state == "asleep")
        clock.advance(0.2)
        await eventually(lambda: madre.state_of("switch"), lambda state: state == "ready")
        services = (await madre.get("state"))["services"]
        assert next(one["restarts"] for one in services if one["name"] == "switch") == 1


async def test_a_service_started_by_hand_goes_back_to_sleep(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        madre.driver.begin("hermes")
        await eventually(lambda: madre.state_of("hermes"), lambda state: state == "asleep")
        await eventually(madre.driver.observe, lambda seen: "hermes" not in seen)
        assert ("stop", "hermes") in madre.driver.told


async def test_a_restarted_madre_resumes_windows_and_policy(tmp_path: Path) -> None:
    clock = ManualClock()
    driver = ScriptedDriver(clock)
    async with madre_in(tmp_path, clock=clock, driver=driver) as madre:
        window = await madre.open("switch", ttl_sec=60)
    clock.advance(20)
    async with madre_in(tmp_path, clock=clock, driver=driver) as madre:
        state = await madre.get("state")
        assert (state["window_id"], state["ttl_remaining_sec"]) == (window["window_id"], 40)
        assert driver.told == [("start", "switch")]
        await madre.post("policy/full/apply")
    async with madre_in(tmp_path, clock=clock, driver=driver) as madre:
        assert (await madre.get("policy/full/status"))["active"] is True


async def test_every_act_leaves_a_row_an_audit_entry_and_events(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        window = await madre.open("switch", reason="to be seen")
        await madre.post("window/close", {"window_id": window["window_id"]})
    house = house_in(tmp_path, "madre")
    with house.db.read() as session:
        rows = [(row.service, row.act, row.outcome) for row in session.scalars(select(PowerEvent))]
        acts = [(row.action, row.target, row.user) for row in session.scalars(select(AuditLog))]
        told = [row.type for row in session.scalars(select(EventRow).order_by(EventRow.id))]
        assert audit.verify(session).is_intact
    house.db.close()
    assert [row for row in rows if row[0] == "switch"] == [
        ("switch", "start", "ok"),
        ("switch", "ready", "ok"),
        ("switch", "stop", "ok"),
        ("switch", "ended", "ok"),
    ]
    assert acts == [
        ("power.window.open", window["window_id"], "admin"),
        ("power.service.start", "switch", "service:madre"),
        ("power.window.close", window["window_id"], "admin"),
        ("power.service.stop", "switch", "service:madre"),
    ]
    assert [one for one in told if one.startswith("power.window")] == [
        "power.window.opening",
        "power.window.open",
        "power.window.closing",
        "power.window.closed",
    ]
    assert [one for one in told if one.startswith("power.service")].count("power.service.stopped") == 1


async def test_the_list_is_cut_into_pages_newest_first(tmp_path: Path) -> None:
    clock = ManualClock()
    async with madre_in(tmp_path, clock=clock) as madre:
        opened = []
        for services in (["switch"], ["hermes"], ["hermes", "switch"]):
            opened.append((await madre.open(*services))["window_id"])
            clock.advance(1)
        first = await madre.get("windows?limit=2")
        rest = await madre.get(f"windows?limit=2&cursor={first['next_cursor']}")
        assert [one["window_id"] for one in first["items"] + rest["items"]] == opened[::-1]
        assert rest["next_cursor"] is None


async def test_a_key_opens_one_window(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        body, key = {"services": ["switch"]}, {"idempotency-key": "once"}
        first = await madre.client.post("/madre/power/window/open", json=body, headers=key)
        second = await madre.client.post("/madre/power/window/open", json=body, headers=key)
        assert (first.status_code, first.json()) == (second.status_code, second.json())


async def test_windows_can_be_switched_off(tmp_path: Path) -> None:
    async with madre_in(tmp_path, power={"windows_enabled": False}) as madre:
        refused = await madre.post("window/open", {"services": ["switch"]}, 403)
        assert (refused["code"], refused["hint"]) == ("off_by_policy", "Set VX11_POWER_WINDOWS_ENABLED=1.")
        assert (await madre.wake("switch")).json()["code"] == "off_by_policy"
