"""Power on real processes: waking, sleeping, and every way of dying."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx

from tests.support.eventually import eventually
from tests.support.fleet import ROOT, Fleet, fleet_in
from tests.support.forkserver import is_alive


async def all_gone(*pids: int) -> None:
    async def alive() -> list[int]:
        return [pid for pid in pids if is_alive(pid)]

    await eventually(alive, lambda left: not left)


async def test_a_request_wakes_a_service_and_it_sleeps_again(tmp_path: Path) -> None:
    async with fleet_in(tmp_path, VX11_POWER_WAKE_TTL_SEC="1") as fleet:
        assert (await fleet.service("hermes"))["state"] == "asleep"
        answer = await fleet.get("/hermes/models")
        assert answer.status_code == 200, answer.text
        hermes = fleet.pid_of("hermes")
        await fleet.comes_to("hermes", "asleep")
        await all_gone(hermes)
        assert (await fleet.get("/hermes/models")).status_code == 200
        assert fleet.integrity() == "ok"


async def test_many_requests_at_once_wake_it_once(tmp_path: Path) -> None:
    async with fleet_in(tmp_path) as fleet:
        answers = await asyncio.gather(*(fleet.get("/hermes/models") for _ in range(16)))
        assert {answer.status_code for answer in answers} == {200}
        assert (await fleet.service("hermes"))["restarts"] == 0
        events = (await fleet.power("windows"))["items"]
        assert [(one["opened_by"], one["services"]) for one in events] == [("wake", ["hermes"])]


async def test_windows_hold_extend_overlap_and_end(tmp_path: Path) -> None:
    async with fleet_in(tmp_path) as fleet:
        both = await fleet.power("window/open", {"services": ["hermes", "switch"], "ttl_sec": 3600})
        assert (both["state"], both["exec"]["driver"]) == ("open", "process")
        one = await fleet.power("window/open", {"services": ["hermes"], "ttl_sec": 1})
        await fleet.power("window/hold", {"window_id": one["window_id"], "hold": True})
        pid = fleet.pid_of("hermes")
        closed = await fleet.power("window/close", {"window_id": both["window_id"]})
        assert closed["state"] == "closed"
        assert (await fleet.service("switch"))["state"] == "asleep"
        assert fleet.pid_of("hermes") == pid
        await fleet.power("window/hold", {"window_id": one["window_id"], "hold": False})
        await fleet.power("window/extend", {"window_id": one["window_id"], "ttl_sec": 1})
        await fleet.comes_to("hermes", "asleep")
        state = await fleet.power("state")
        assert (state["policy"], state["windows"]) == ("solo_madre", [])


async def test_a_killed_service_comes_back(tmp_path: Path) -> None:
    async with fleet_in(tmp_path) as fleet:
        await fleet.power("window/open", {"services": ["hermes"]})
        killed = fleet.pid_of("hermes")
        os.kill(killed, signal.SIGKILL)
        await eventually(lambda: fleet.service("hermes"), lambda one: (one["state"], one["restarts"]) == ("ready", 1))
        assert fleet.pid_of("hermes") != killed
        assert fleet.integrity() == "ok"


async def test_services_outlive_a_killed_madre_and_the_next_one_keeps_their_deadlines(tmp_path: Path) -> None:
    async with fleet_in(tmp_path) as fleet:
        window = await fleet.power("window/open", {"services": ["hermes"], "ttl_sec": 600})
        hermes, madre = fleet.pid_of("hermes"), fleet.pid_of("madre")
        os.kill(madre, signal.SIGKILL)
        assert (await fleet.get("/hermes/models", 8003)).status_code == 200
        await fleet.comes_to("hermes", "ready")
        assert fleet.pid_of("hermes") == hermes
        assert fleet.pid_of("madre") != madre
        state = await fleet.power("state")
        assert (state["window_id"], state["deadline"]) == (window["window_id"], window["deadline"])
        await fleet.power("window/close", {})
        await all_gone(hermes)
        assert fleet.integrity() == "ok"


async def test_a_window_that_ran_out_while_madre_was_dead_is_over_when_she_is_back(tmp_path: Path) -> None:
    async with fleet_in(tmp_path) as fleet:
        await fleet.power("window/open", {"services": ["hermes"], "ttl_sec": 1})
        os.kill(fleet.pid_of("madre"), signal.SIGKILL)
        await fleet.comes_to("hermes", "asleep")
        assert (await fleet.power("windows"))["items"][0]["state"] == "expired"


async def test_a_killed_gateway_comes_back(tmp_path: Path) -> None:
    async with fleet_in(tmp_path) as fleet:
        gateway = fleet.pid_of("tentaculo_link")
        os.kill(gateway, signal.SIGKILL)
        await all_gone(gateway)
        await fleet.ready()
        assert fleet.pid_of("tentaculo_link") != gateway
        assert (await fleet.get("/hermes/models")).status_code == 200


async def test_nothing_survives_a_killed_fork_server_and_the_next_fleet_starts_clean(tmp_path: Path) -> None:
    async with fleet_in(tmp_path) as fleet:
        await fleet.power("window/open", {"services": ["hermes", "switch"]})
        processes = fleet.children()
        assert len(processes) == 4
        fleet.process.kill()
        await all_gone(*processes)
        assert fleet.integrity() == "ok"
    async with fleet_in(tmp_path) as fleet:
        assert (await fleet.comes_to("hermes", "ready"))["restarts"] == 0


async def test_a_fleet_asked_to_end_leaves_nothing_and_resumes_its_windows(tmp_path: Path) -> None:
    async with fleet_in(tmp_path) as fleet:
        window = await fleet.power("window/open", {"services": ["hermes", "switch"], "ttl_sec": 600})
        processes = fleet.children()
        fleet.process.terminate()
        assert await asyncio.to_thread(fleet.process.wait, 20) == 0
        assert [pid for pid in processes if is_alive(pid)] == []
    async with fleet_in(tmp_path) as fleet:
        await fleet.comes_to("hermes", "ready")
        state = await fleet.power("state")
        assert (state["window_id"], state["deadline"]) == (window["window_id"], window["deadline"])


async def test_one_fleet_per_data_folder(tmp_path: Path) -> None:
    async with fleet_in(tmp_path) as fleet:
        argv = [sys.executable, "-m", "config", "fleet"]
        second = await asyncio.to_thread(
            subprocess.run, argv, cwd=ROOT, env=fleet.environment, capture_output=True, text=True
        )
        assert second.returncode == 1
        assert f"runs already, as process {fleet.process.pid}" in second.stderr
        assert await fleet.is_ready(8001)


async def test_the_public_default_token_is_refused_off_loopback(tmp_path: Path) -> None:
    environment = {"VX11_TOKEN": "vx11-local-token", "VX11_BIND": "0.0.0.0", "VX11_DATA_PATH": str(tmp_path)}
    refused = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "config", "fleet"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 1
    assert "VX11_BIND is 0.0.0.0" in refused.stderr


async def crash_looping(fleet: Fleet) -> httpx.Response:
    return await fleet.http.post(fleet.url(8001) + "/madre/power/window/open", json={"services": ["hermes", "switch"]})


async def test_a_service_that_cannot_start_ends_its_window_with_the_reason(tmp_path: Path) -> None:
    async with fleet_in(tmp_path) as fleet:
        with socket.create_server(("127.0.0.1", 8003 + fleet.offset)):
            failed = await crash_looping(fleet)
        assert (failed.status_code, failed.json()["code"]) == (500, "start_failed")
        assert "address already in use" in failed.json()["detail"]
        window = (await fleet.power("windows"))["items"][0]
        assert window["state"] == "error"
        assert (await fleet.service("hermes"))["state"] == "failed"
        assert (await fleet.service("switch"))["state"] == "asleep"
        assert (await fleet.power("window/open", {"services": ["hermes"]}))["state"] == "open"


async def test_the_cores_die_in_turn_under_load_and_no_row_is_lost(tmp_path: Path) -> None:
    async with fleet_in(tmp_path) as fleet:
        answered: list[str] = []

        async def ask() -> None:
            while True:
                try:
                    body = {"services": ["hermes"], "reason": f"turn {len(answered)}"}
                    answer = await fleet.http.post(fleet.url(8001) + "/madre/power/window/open", json=body)
                except httpx.TransportError:
                    await asyncio.sleep(0.02)
                    continue
                if answer.is_success:
                    answered.append(answer.json()["window_id"])

        async def count() -> int:
            return len(answered)

        asking = asyncio.create_task(ask())
        for service in ("madre", "hermes", "tentaculo_link", "madre"):
            seen = len(answered)
            os.kill(fleet.pid_of(service), signal.SIGKILL)
            await eventually(count, lambda now, seen=seen: now > seen + 2, within_sec=40)  # type: ignore[misc]
            await fleet.ready()
        asking.cancel()
        kept = {one["window_id"] for one in (await fleet.power("windows?limit=200"))["items"]}
        assert set(answered) <= kept
        assert fleet.integrity() == "ok"
