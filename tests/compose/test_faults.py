"""What goes wrong around windows of containers: poisoned images, sleeping dependencies, a clock that is set, wear.

Services that die and an engine that is away: `test_windows.py`, and with the real images `test_faults_in_docker.py`.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from config import audit
from config.clock import SystemClock
from config.db_schema import AuditLog
from madre.adapters.compose import ComposeDriver
from tests.support.chats import books, rows
from tests.support.containers import (
    CODE,
    Containers,
    containers_in,
    driver_on,
    fleet_on_containers,
    needs_engine,
    run,
)
from tests.support.eventually import eventually
from tests.support.fleet import Fleet
from tests.support.ports import free_port_offset
from tests.support.power import Madre, madre_in
from tests.support.tagged_image import TaggedImage, tagged_image

pytestmark = needs_engine
LANES = {("hermes",): 67, ("switch",): 67, ("hermes", "switch"): 66}  # windows of each set of services: 200
CYCLES = sum(LANES.values())
HOUR = 3600.0
HERMES = ("python3", "-c", CODE, "hermes", "8003")


async def running(containers: Containers) -> set[str]:
    return set(await containers.ids(also_ended=False))


async def opened(fleet: Fleet, *services: str) -> httpx.Response:
    return await fleet.http.post(fleet.url(8001) + "/madre/power/window/open", json={"services": list(services)})


# An image whose tag starts something else


def of_image(folder: Path, image: TaggedImage) -> Containers:
    """A project whose hermes runs what the image says."""
    containers = Containers(folder)
    del containers.declared["hermes"]["command"]
    containers.declared["hermes"]["image"] = image.tag
    return containers


POISONS = {
    "ends at once": (("python3", "-c", "raise SystemExit('cannot find libhermes.so.3')"), "cannot find libhermes.so.3"),
    "is no program": (("/opt/hermes/bin/hermes",), "no such file or directory"),
    "never answers": (("sh", "-c", "echo 'mining away'; exec sleep 600"), "mining away"),
    "is another service": (("python3", "-c", CODE, "shub", "8003"), "shub lives"),
}


@pytest.mark.parametrize("poison", POISONS)
async def test_a_poisoned_image_ends_its_window_with_the_last_words_and_rolls_back(tmp_path: Path, poison: str) -> None:
    command, words = POISONS[poison]
    settings = {"VX11_POWER_WINDOWS_TIMEOUT_SEC": "8"}
    async with tagged_image(*HERMES) as image:
        project = of_image(tmp_path, image)
        async with fleet_on_containers(tmp_path, containers=project, settings=settings) as (fleet, containers):
            await fleet.power("window/open", {"services": ["hermes"]})
            await fleet.power("window/close", {})
            await image.starts(*command)
            window = await fleet.power("window/open", {"services": ["hermes"]})
            assert window["state"] == "open"  # the container that is there is used: madre makes nothing anew
            await fleet.power("window/close", {})
            await containers.compose("rm", "--force", "hermes")
            failed = await opened(fleet, "hermes", "switch")
            assert (failed.status_code, failed.json()["code"]) == (500, "start_failed")
            assert words in failed.text.lower()
            assert (await fleet.power("windows"))["items"][0]["state"] == "error"
            assert (await fleet.power("state"))["windows"] == []
            assert await running(containers) == set()
            await image.starts(*HERMES)
            await containers.compose("rm", "--force", "hermes")
            assert (await fleet.power("window/open", {"services": ["hermes", "switch"]}))["state"] == "open"
            assert await running(containers) == {"hermes", "switch"}


# A service whose dependency sleeps


async def test_a_window_holds_what_it_names_and_no_dependency_is_started_behind_madres_back(tmp_path: Path) -> None:
    """Whatever the compose file says of `depends_on`: what runs is what is desired, and each may come by itself."""
    containers = Containers(tmp_path)
    containers.declared["hermes"]["depends_on"] = {"switch": {"condition": "service_started", "restart": True}}
    async with fleet_on_containers(tmp_path, containers=containers) as (fleet, containers):
        alone = await fleet.power("window/open", {"services": ["hermes"]})
        assert (alone["state"], await running(containers)) == ("open", {"hermes"})
        hermes = (await containers.ids())["hermes"]
        later = await fleet.power("window/open", {"services": ["switch"]})
        assert (await containers.ids())["hermes"] == hermes
        await fleet.power("window/close", {"window_id": later["window_id"]})
        assert await running(containers) == {"hermes"}
        assert (await fleet.service("hermes"))["restarts"] == 0


# A clock that somebody sets


class SetClock(SystemClock):
    """The machine's clock as if somebody had set it: `ahead_sec` may change at any time."""

    ahead_sec = 0.0

    def now(self) -> datetime:
        """The time it tells."""
        return super().now() + timedelta(seconds=self.ahead_sec)


def madre_on(driver: ComposeDriver, folder: Path, clock: SetClock, offset: int) -> AbstractAsyncContextManager[Madre]:
    """A madre in this process, so that her clock can be set and no other."""
    return madre_in(folder, clock=clock, driver=driver, port_offset=offset)


async def states(madre: Madre) -> dict[str, str]:
    return {one["name"]: one["state"] for one in (await madre.get("state"))["services"] if one["state"] != "absent"}


@pytest.mark.parametrize("by", [HOUR, -HOUR])
async def test_a_clock_that_is_set_moves_deadlines_and_harms_no_container(tmp_path: Path, by: float) -> None:
    clock, offset = SetClock(), free_port_offset()
    async with containers_in(tmp_path) as containers:
        containers.write(offset)
        async with driver_on(containers, tmp_path) as driver, madre_on(driver, tmp_path, clock, offset) as madre:
            held = await madre.open("switch", mode="hold")
            timed = await madre.open("hermes", ttl_sec=600)
            before = await containers.ids(also_ended=False)
            clock.ahead_sec = by
            left = {held["window_id"], timed["window_id"]} - ({timed["window_id"]} if by > 0 else set())
            await eventually(lambda: live(madre), lambda windows: windows == left, within_sec=20)
            if by < 0:
                await madre.post("window/close", {"window_id": timed["window_id"]})
            await eventually(lambda: states(madre), lambda seen: seen["hermes"] == "asleep", within_sec=20)
            assert (await containers.ids(also_ended=False)).items() < before.items()
            await run("docker", "kill", before["switch"])
            await eventually(lambda: states(madre), lambda seen: seen["switch"] == "ready", within_sec=20)
            again = await madre.open("hermes", ttl_sec=1)
            assert again["state"] == "open"
            await eventually(lambda: states(madre), lambda seen: seen["hermes"] == "asleep", within_sec=20)
            with madre.house.db.read() as session:
                assert audit.verify(session).is_intact


async def live(madre: Madre) -> set[str]:
    return {window["window_id"] for window in (await madre.get("state"))["windows"]}


# Wear


@pytest.mark.timeout(600)
async def test_two_hundred_windows_leave_nothing_behind(tmp_path: Path) -> None:
    """Opened and closed by three at once, alone and over each other."""
    async with fleet_on_containers(tmp_path) as (fleet, containers):
        await fleet.power("window/open", {"services": ["hermes", "switch"]})
        await fleet.power("window/close", {})
        made, files = await containers.ids(), open_files(fleet)
        networks = await run("docker", "network", "ls", "--quiet", "--filter", f"name={containers.project}")
        outcomes = await asyncio.gather(*(lane(fleet, *of) for of in LANES.items()))
        assert Counter(state for found in outcomes for state in found) == {"open": CYCLES, "let go": CYCLES}
        await eventually(lambda: running(containers), lambda services: not services, within_sec=30)
        assert await containers.ids() == made
        assert await run("docker", "network", "ls", "--quiet", "--filter", f"name={containers.project}") == networks
        state = await fleet.power("state")
        assert (state["policy"], state["windows"]) == ("solo_madre", [])
        for service in ("hermes", "switch"):
            assert ((one := await fleet.service(service))["state"], one["restarts"]) == ("asleep", 0)
        acts = Counter(row.action for row in rows(fleet, AuditLog))
        assert (acts["power.window.open"], acts["power.window.close"]) == (CYCLES + 1, CYCLES + 1)
        with books(fleet) as session:
            assert audit.verify(session).is_intact
        assert fleet.integrity() == "ok"
        assert open_files(fleet) <= files + 8  # connections that are kept open


async def lane(fleet: Fleet, services: tuple[str, ...], cycles: int) -> list[str]:
    """Open and close a window so many times; the states it was said to have."""
    said = []
    for _ in range(cycles):
        window = await fleet.power("window/open", {"services": list(services), "reason": f"wear of {services}"})
        closed = await fleet.power("window/close", {"window_id": window["window_id"]})
        said += [window["state"], "let go" if closed["state"] in ("closing", "closed") else closed["state"]]
    return said


def open_files(fleet: Fleet) -> int:
    return len(os.listdir(f"/proc/{fleet.pid_of('madre')}/fd"))
