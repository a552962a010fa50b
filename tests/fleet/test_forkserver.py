"""The fork server with services that only wait: orders, deaths, leftovers."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from config.forkserver import logfile
from madre.adapters.process import ProcessDriver
from tests.support.eventually import eventually
from tests.support.forkserver import WaitingFleet, family_of, is_alive, waiting_fleet


async def pid_of(driver: ProcessDriver, service: str) -> int:
    seen = await eventually(driver.observe, lambda seen: service in seen and not seen[service].stopping)
    return int(seen[service].instance)


async def gone(*pids: int) -> None:
    async def alive() -> list[int]:
        return [pid for pid in pids if is_alive(pid)]

    await eventually(alive, lambda left: not left)


async def with_family(fleet: WaitingFleet, driver: ProcessDriver) -> tuple[int, set[int]]:
    fleet.behave("switch", "family")
    await driver.start("switch")
    pid = await pid_of(driver, "switch")

    async def family() -> set[int]:
        return family_of(pid) | (family_of(fleet.process.pid) - {int(one.instance) for one in seen.values()})

    seen = await driver.observe()
    return pid, await eventually(family, lambda found: len(found) >= 3)


async def test_a_stubborn_service_is_killed_after_the_grace(tmp_path: Path) -> None:
    async with waiting_fleet(tmp_path) as fleet:
        driver = fleet.driver(await fleet.link())
        async with driver.running():
            fleet.behave("switch", "stubborn")
            await driver.start("switch")
            pid = await pid_of(driver, "switch")

            async def printed() -> list[str]:
                return logfile.last_lines(tmp_path / "logs", "switch", 1)

            await eventually(printed, bool)
            await driver.stop("switch")
            assert (await driver.observe())["switch"].stopping
            await gone(pid)
            assert "ended by signal 9" in await driver.last_words("switch")


async def test_what_a_service_leaves_behind_dies_with_it_even_in_a_session_of_its_own(tmp_path: Path) -> None:
    async with waiting_fleet(tmp_path) as fleet:
        driver = fleet.driver(await fleet.link())
        async with driver.running():
            pid, family = await with_family(fleet, driver)
            os.kill(pid, signal.SIGKILL)
            await gone(pid, *family)


async def test_the_last_words_hold_status_and_log_but_no_token(tmp_path: Path) -> None:
    async with waiting_fleet(tmp_path) as fleet:
        driver = fleet.driver(await fleet.link())
        async with driver.running():
            fleet.behave("switch", "dies")
            await driver.start("switch")
            assert await anext(driver.events()) == "switch"
            said = await driver.last_words("switch")
            assert said.startswith("switch ended with status 3.")
            assert "no such file, [redacted]" in said


async def test_services_outlive_madre_and_the_next_madre_sees_them(tmp_path: Path) -> None:
    async with waiting_fleet(tmp_path) as fleet:
        driver = fleet.driver(await fleet.link())
        async with driver.running():
            await driver.start("switch")
            switch, madre = await pid_of(driver, "switch"), await pid_of(driver, "madre")
            os.kill(madre, signal.SIGKILL)
        successor = fleet.driver(await fleet.link())
        async with successor.running():
            assert await pid_of(successor, "switch") == switch
            assert await pid_of(successor, "madre") != madre


async def test_the_core_cannot_be_ordered_and_nonsense_is_survived(tmp_path: Path) -> None:
    async with waiting_fleet(tmp_path) as fleet:
        link = await fleet.link()
        driver = fleet.driver(link)
        async with driver.running():
            gateway = await pid_of(driver, "tentaculo_link")
            os.write(link.orders, b"nonsense\n")
            await driver.stop("tentaculo_link")
            assert await pid_of(driver, "tentaculo_link") == gateway


async def test_a_core_service_that_dies_is_started_again(tmp_path: Path) -> None:
    async with waiting_fleet(tmp_path) as fleet:
        driver = fleet.driver(await fleet.link())
        async with driver.running():
            gateway = await pid_of(driver, "tentaculo_link")
            os.kill(gateway, signal.SIGKILL)
            await gone(gateway)
            assert await pid_of(driver, "tentaculo_link") != gateway


async def test_nothing_survives_a_kill_of_the_fork_server(tmp_path: Path) -> None:
    async with waiting_fleet(tmp_path) as fleet:
        driver = fleet.driver(await fleet.link())
        async with driver.running():
            await driver.start("switch")
            await pid_of(driver, "switch")
            services = family_of(fleet.process.pid)
            assert len(services) == 3
            fleet.process.kill()
            await gone(*services)


async def test_asked_to_end_it_ends_all_and_itself(tmp_path: Path) -> None:
    async with waiting_fleet(tmp_path) as fleet:
        driver = fleet.driver(await fleet.link())
        async with driver.running():
            await driver.start("switch")
            await pid_of(driver, "switch")
            services = family_of(fleet.process.pid)
            fleet.process.terminate()
            assert fleet.process.wait(20) == 0
            assert not [pid for pid in services if is_alive(pid)]
