"""Power windows whose services are containers: the real door and madre, the real engine, the real `docker compose`."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import httpx

from tests.support.containers import Containers, fleet_on_containers, gate_before, needs_engine
from tests.support.eventually import eventually
from tests.support.fleet import Fleet

pytestmark = needs_engine


async def running(containers: Containers) -> set[str]:
    """The services that run as containers now."""
    return set(await containers.ids(also_ended=False))


async def test_windows_hold_extend_overlap_and_end(tmp_path: Path) -> None:
    async with fleet_on_containers(tmp_path) as (fleet, containers):
        both = await fleet.power("window/open", {"services": ["hermes", "switch"], "ttl_sec": 3600})
        assert (both["state"], both["exec"]["driver"], both["exec"]["rc"]) == ("open", "compose", 0)
        assert await running(containers) == {"hermes", "switch"}
        one = await fleet.power("window/open", {"services": ["hermes"], "ttl_sec": 1})
        await fleet.power("window/hold", {"window_id": one["window_id"], "hold": True})
        container = (await containers.ids())["hermes"]
        closed = await fleet.power("window/close", {"window_id": both["window_id"]})
        assert closed["state"] == "closed"
        assert await running(containers) == {"hermes"}
        await fleet.power("window/hold", {"window_id": one["window_id"], "hold": False})
        await fleet.power("window/extend", {"window_id": one["window_id"], "ttl_sec": 1})
        await fleet.comes_to("hermes", "asleep")
        assert await running(containers) == set()
        assert (await containers.ids())["hermes"] == container
        state = await fleet.power("state")
        assert (state["policy"], state["windows"]) == ("solo_madre", [])
        assert fleet.integrity() == "ok"


async def test_a_request_wakes_a_container_and_it_sleeps_again(tmp_path: Path) -> None:
    settings = {"VX11_POWER_WAKE_TTL_SEC": "3"}
    async with fleet_on_containers(tmp_path, settings=settings) as (fleet, containers):
        answers = await asyncio.gather(*(fleet.get("/hermes/models") for _ in range(8)))
        assert {answer.json()["module"] for answer in answers} == {"hermes"}
        windows = (await fleet.power("windows"))["items"]
        assert [(one["opened_by"], one["services"]) for one in windows] == [("wake", ["hermes"])]
        await fleet.comes_to("hermes", "asleep")
        assert await running(containers) == set()
        assert (await fleet.get("/hermes/models")).status_code == 200


async def test_a_policy_starts_and_stops_all_of_them(tmp_path: Path) -> None:
    async with fleet_on_containers(tmp_path) as (fleet, containers):
        await fleet.power("policy/full/apply", {})
        for service in ("hermes", "switch"):
            await fleet.comes_to(service, "ready")
        await fleet.power("policy/solo_madre/apply", {})
        for service in ("hermes", "switch"):
            await fleet.comes_to(service, "asleep")
        assert await running(containers) == set()


async def test_madre_killed_in_a_window_keeps_its_deadline_and_its_containers(tmp_path: Path) -> None:
    async with fleet_on_containers(tmp_path) as (fleet, containers):
        window = await fleet.power("window/open", {"services": ["hermes"], "ttl_sec": 600})
        container, madre = (await containers.ids())["hermes"], fleet.pid_of("madre")
        os.kill(madre, signal.SIGKILL)
        await fleet.comes_to("hermes", "ready")
        assert fleet.pid_of("madre") != madre
        state = await fleet.power("state")
        assert (state["window_id"], state["deadline"]) == (window["window_id"], window["deadline"])
        assert (await fleet.service("hermes"))["restarts"] == 0
        assert await containers.ids() == {"hermes": container}
        await fleet.power("window/close", {})
        assert await running(containers) == set()


async def test_what_is_started_by_hand_is_stopped_and_what_is_stopped_by_hand_comes_back(tmp_path: Path) -> None:
    async with fleet_on_containers(tmp_path) as (fleet, containers):
        await containers.up("switch")
        await eventually(lambda: running(containers), lambda services: not services)
        await fleet.power("window/open", {"services": ["hermes"]})
        await containers.compose("stop", "hermes")
        await eventually(lambda: fleet.service("hermes"), lambda one: (one["state"], one["restarts"]) == ("ready", 1))
        await containers.compose("kill", "hermes")
        await eventually(lambda: fleet.service("hermes"), lambda one: (one["state"], one["restarts"]) == ("ready", 2))
        await containers.compose("rm", "-f", "-s", "hermes")
        await eventually(lambda: fleet.service("hermes"), lambda one: (one["state"], one["restarts"]) == ("ready", 3))
        assert await running(containers) == {"hermes"}


async def opened(fleet: Fleet, *services: str) -> httpx.Response:
    return await fleet.http.post(fleet.url(8001) + "/madre/power/window/open", json={"services": list(services)})


async def test_a_crash_loop_ends_its_window_with_the_last_words_and_rolls_back(tmp_path: Path) -> None:
    async with fleet_on_containers(tmp_path, hermes="dies") as (fleet, containers):
        failed = await opened(fleet, "hermes", "switch")
        assert (failed.status_code, failed.json()["code"]) == (500, "start_failed")
        assert "hermes ended with status 1." in failed.json()["detail"]
        assert "no such file: list" in failed.json()["detail"]
        assert "secretsecret" not in failed.text
        window = (await fleet.power("windows"))["items"][0]
        assert window["state"] == "error"
        assert (await fleet.service("hermes"))["state"] == "failed"
        assert (await fleet.service("switch"))["state"] == "asleep"
        assert await running(containers) == set()
        assert (await fleet.power("window/open", {"services": ["switch"]}))["state"] == "open"


async def test_a_poisoned_image_ends_its_window_and_leaves_the_others(tmp_path: Path) -> None:
    async with fleet_on_containers(tmp_path) as (fleet, containers):
        held = await fleet.power("window/open", {"services": ["switch"]})
        containers.declared["hermes"]["entrypoint"] = ["/no/such/program"]
        containers.write(fleet.offset)
        failed = await opened(fleet, "hermes")
        assert (failed.status_code, failed.json()["code"]) == (500, "start_failed")
        assert "no such file or directory" in failed.json()["detail"].lower()
        state = await fleet.power("state")
        assert [one["window_id"] for one in state["windows"]] == [held["window_id"]]
        assert await running(containers) == {"switch"}


async def test_a_service_at_work_is_not_stopped(tmp_path: Path) -> None:
    async with fleet_on_containers(tmp_path) as (fleet, containers):
        window = await fleet.power("window/open", {"services": ["hermes"]})
        await fleet.http.put(fleet.url(8003) + "/busy/1")
        await fleet.power("window/close", {"window_id": window["window_id"]})
        await containers.up("switch")  # by hand, and not at work: once it is gone madre has looked at both
        await fleet.comes_to("switch", "asleep")
        assert await running(containers) == {"hermes"}
        await fleet.http.put(fleet.url(8003) + "/busy/0")
        await fleet.comes_to("hermes", "asleep")
        assert await running(containers) == set()


async def test_while_the_engine_is_away_madre_says_so_and_then_catches_up(tmp_path: Path) -> None:
    async def driver_answers() -> bool:
        return bool((await fleet.get("/health", 8001)).json()["checks"]["driver_answers"])

    name = Containers(tmp_path)
    async with (
        gate_before(tmp_path, name.project) as engine,
        fleet_on_containers(tmp_path, engine=engine.address, containers=name) as (fleet, containers),
    ):
        held = await fleet.power("window/open", {"services": ["hermes"]})
        await fleet.power("window/open", {"services": ["switch"], "ttl_sec": 1})
        engine.kill()
        await eventually(driver_answers, lambda answers: not answers)
        assert (await fleet.power("state"))["policy"] == "windowed"
        await containers.compose("kill", "hermes")
        await engine.start()
        await eventually(driver_answers, bool)
        await fleet.comes_to("switch", "asleep")
        await fleet.comes_to("hermes", "ready")
        state = await fleet.power("state")
        assert [one["window_id"] for one in state["windows"]] == [held["window_id"]]
        assert await running(containers) == {"hermes"}


async def test_opened_and_closed_again_and_again_nothing_is_left_over(tmp_path: Path) -> None:
    async with fleet_on_containers(tmp_path) as (fleet, containers):
        made: set[tuple[tuple[str, str], ...]] = set()
        for _ in range(8):
            window = await fleet.power("window/open", {"services": ["hermes", "switch"]})
            assert window["state"] == "open"
            made.add(tuple(sorted((await containers.ids()).items())))
            assert (await fleet.power("window/close", {}))["state"] == "closed"
        assert len(made) == 1
        assert await running(containers) == set()
        assert (await fleet.power("state"))["windows"] == []
