"""Policies, single services by hand, and who may do either."""

from __future__ import annotations

from pathlib import Path

from config.auth import new_token, sha256_of
from config.clock import SystemClock
from config.db_schema import ApiToken
from madre.adapters.noop import NoopDriver
from tests.support.clock import ManualClock
from tests.support.eventually import eventually
from tests.support.power import madre_in


async def test_full_keeps_everything_up_and_solo_madre_lets_it_sleep(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        assert (await madre.get("policy/full/status"))["active"] is False
        assert await madre.post("policy/full/apply") == {"policy": "full", "active": True, "applied": True}
        assert (await madre.post("policy/full/apply"))["applied"] is False
        await eventually(lambda: madre.get("state"), lambda seen: len(seen["active_services"]) == 5)
        await eventually(lambda: madre.state_of("switch"), lambda seen: seen == "ready")
        assert (await madre.get("state"))["policy"] == "full"
        await madre.post("policy/solo_madre/apply")
        await eventually(lambda: madre.get("state"), lambda seen: len(seen["active_services"]) == 2)
        assert (await madre.client.post("/madre/power/policy/chaos/apply")).status_code == 422


async def test_the_first_policy_is_a_setting(tmp_path: Path) -> None:
    async with madre_in(tmp_path, power={"policy": "full"}) as madre:
        await eventually(lambda: madre.state_of("switch"), lambda seen: seen == "ready")


async def test_control_is_off_unless_set(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        refused = await madre.post("service/switch/start", {"apply": True}, 403)
        assert (refused["code"], refused["hint"]) == ("control_disabled", "Set VX11_ALLOW_SERVICE_CONTROL=1.")
        assert (await madre.post("service/nonsense/start", status=404))["code"] == "not_found"


async def test_a_plan_changes_nothing_and_applying_it_does(tmp_path: Path) -> None:
    async with madre_in(tmp_path, allow_service_control=True) as madre:
        plan = await madre.post("service/switch/start")
        assert (plan["applied"], plan["plan"]) == (False, ["open a window in mode hold on switch", "start switch"])
        assert madre.driver.told == []
        done = await madre.post("service/switch/start", {"apply": True, "reason": "to look"})
        assert (done["applied"], done["exec"]["output"]) == (True, "switch ready")
        assert (await madre.get("state"))["windows"][0]["mode"] == "hold"
        restarted = await madre.post("service/switch/restart", {"apply": True})
        assert restarted["exec"]["rc"] == 0
        assert madre.driver.told == [("start", "switch"), ("stop", "switch"), ("start", "switch")]
        stopped = await madre.post("service/switch/stop", {"apply": True})
        assert stopped["exec"]["output"] == "switch asleep"
        assert (await madre.get("state"))["windows"] == []


async def test_what_something_else_holds_is_not_stopped(tmp_path: Path) -> None:
    async with madre_in(tmp_path, allow_service_control=True) as madre:
        window = await madre.open("switch")
        refused = await madre.post("service/switch/stop", {"apply": True}, 409)
        assert window["window_id"] in refused["detail"]
        assert await madre.state_of("switch") == "ready"


async def test_what_is_at_work_is_not_stopped(tmp_path: Path) -> None:
    async with madre_in(tmp_path, allow_service_control=True) as madre:
        await madre.post("service/switch/start", {"apply": True})
        madre.driver.script("switch").work = 1
        assert (await madre.post("service/switch/restart", {"apply": True}, 409))["code"] == "conflict"
        left = await madre.post("service/switch/stop", {"apply": True})
        assert left["exec"]["output"] == "switch ready, at work: it stops when it is idle"
        madre.driver.script("switch").work = 0
        await eventually(lambda: madre.state_of("switch"), lambda seen: seen == "asleep")


async def test_the_core_is_never_stopped(tmp_path: Path) -> None:
    async with madre_in(tmp_path, allow_service_control=True) as madre:
        for core in ("madre", "tentaculo_link"):
            for verb in ("stop", "restart"):
                assert (await madre.post(f"service/{core}/{verb}", {"apply": True}, 409))["code"] == "conflict"
            assert (await madre.post(f"service/{core}/start", {"apply": True}))["exec"]["rc"] == 0
        assert (await madre.post("service/shub/start", {"apply": True}, 404))["code"] == "service_absent"
        assert madre.driver.told == []


async def test_core_mode_brings_the_gateway_back_and_without_it_nobody_does(tmp_path: Path) -> None:
    async with madre_in(tmp_path / "on", clock=SystemClock(), power={"windows_core_mode": True}) as madre:
        await eventually(lambda: madre.state_of("tentaculo_link"), lambda seen: seen == "ready")
        madre.driver.gone.add("tentaculo_link")
        await eventually(lambda: madre.get("state"), lambda _: ("start", "tentaculo_link") in madre.driver.told)
        await eventually(lambda: madre.state_of("tentaculo_link"), lambda seen: seen == "ready")
    async with madre_in(tmp_path / "off", clock=SystemClock()) as madre:
        await eventually(lambda: madre.state_of("tentaculo_link"), lambda seen: seen == "ready")
        madre.driver.gone.add("tentaculo_link")
        await eventually(lambda: madre.state_of("tentaculo_link"), lambda seen: seen == "asleep")
        await madre.open("switch")
        assert madre.driver.told == [("start", "switch")]


async def test_windows_are_switched_off_as_a_whole(tmp_path: Path) -> None:
    async with madre_in(tmp_path, power={"windows_enabled": False}) as madre:
        refused = await madre.post("window/open", {"services": ["switch"]}, 403)
        assert (refused["code"], refused["hint"]) == ("off_by_policy", "Set VX11_POWER_WINDOWS_ENABLED=1.")
        assert (await madre.wake("switch")).status_code == 403
        assert madre.driver.told == []


async def test_the_allow_list_shows_limits(tmp_path: Path) -> None:
    async with madre_in(tmp_path, port_offset=1000) as madre:
        services = {one["name"]: one for one in (await madre.get("services"))["items"]}
        assert services["switch"] == {
            "name": "switch",
            "port": 9002,
            "memory_mb": 128,
            "sleeps": True,
            "present": True,
        }
        assert (services["madre"]["sleeps"], services["shub"]["present"]) == (False, False)


async def test_a_user_may_look_and_not_touch(tmp_path: Path) -> None:
    async with madre_in(tmp_path) as madre:
        token, now = new_token(), madre.clock.now()
        row = ApiToken(token_id="t-1", token_sha256=sha256_of(token), name="", user="bo", role="user", created_at=now)
        await madre.house.db.writing(lambda session: session.add(row))
        headers = {"x-vx11-token": token}
        assert (await madre.client.get("/madre/power/state", headers=headers)).status_code == 200
        for path, body in (
            ("window/open", {"services": ["switch"]}),
            ("window/close", {}),
            ("policy/full/apply", {}),
            ("service/switch/start", {}),
            ("maintenance", {}),
        ):
            answer = await madre.client.post(f"/madre/power/{path}", json=body, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "role_required")


async def test_the_noop_driver_says_that_it_only_plays(tmp_path: Path) -> None:
    clock = ManualClock()
    async with madre_in(tmp_path, clock=clock, driver=NoopDriver(clock)) as madre:
        window = await madre.open("switch")
        assert window["exec"]["driver"] == "noop"
        assert window["exec"]["output"].startswith("simulated: true")
        assert (await madre.client.get("/health")).json()["checks"]["driver"] == "noop"
