"""One suite for every driver: what `madre.drivers.Driver` promises, each driver keeps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from config.services import CORE
from madre.adapters.noop import NoopDriver
from madre.drivers import Driver, Observed
from tests.support.clock import ManualClock
from tests.support.containers import containers_in, driver_on, gate_before, needs_engine
from tests.support.eventually import eventually
from tests.support.forkserver import waiting_fleet
from tests.support.swarm import stack_in, swarm_driver_on

Maker = Callable[[Path], AbstractAsyncContextManager[Driver]]


@asynccontextmanager
async def noop(folder: Path) -> AsyncIterator[Driver]:
    yield NoopDriver(ManualClock())


@asynccontextmanager
async def process(folder: Path) -> AsyncIterator[Driver]:
    async with waiting_fleet(folder) as fleet:
        driver = fleet.driver(await fleet.link())
        async with driver.running():
            yield driver


@asynccontextmanager
async def compose(folder: Path) -> AsyncIterator[Driver]:
    async with containers_in(folder) as containers, driver_on(containers, folder) as driver:
        yield driver


@asynccontextmanager
async def compose_behind_the_gate(folder: Path) -> AsyncIterator[Driver]:
    async with (
        containers_in(folder) as containers,
        gate_before(folder, containers.project) as gate,
        driver_on(containers, folder, gate.address) as driver,
    ):
        yield driver


@asynccontextmanager
async def swarm(folder: Path) -> AsyncIterator[Driver]:
    async with stack_in(folder) as stack, swarm_driver_on(stack, folder) as driver:
        yield driver


REAL_ENGINE = [pytest.param(maker, marks=needs_engine) for maker in (compose, compose_behind_the_gate, swarm)]
DRIVERS = pytest.mark.parametrize("maker", [noop, process, *REAL_ENGINE])


def is_up(service: str) -> Callable[[Mapping[str, Observed]], bool]:
    return lambda seen: service in seen and not seen[service].stopping


@DRIVERS
async def test_what_is_started_runs_until_it_is_stopped(maker: Maker, tmp_path: Path) -> None:
    async with maker(tmp_path) as driver:
        assert "switch" not in await driver.observe()
        await driver.start("switch")
        seen = await eventually(driver.observe, is_up("switch"))
        assert seen["switch"].started_at.tzinfo is not None
        await driver.stop("switch")
        await eventually(driver.observe, lambda seen: "switch" not in seen)


@DRIVERS
async def test_starting_and_stopping_twice_is_once(maker: Maker, tmp_path: Path) -> None:
    async with maker(tmp_path) as driver:
        await asyncio.gather(driver.start("switch"), driver.start("switch"))
        first = (await eventually(driver.observe, is_up("switch")))["switch"].instance
        await driver.start("switch")
        assert (await driver.observe())["switch"].instance == first
        await driver.stop("switch")
        await driver.stop("switch")
        await eventually(driver.observe, lambda seen: "switch" not in seen)
        await driver.stop("hermes")


@DRIVERS
async def test_each_life_is_told_from_the_one_before(maker: Maker, tmp_path: Path) -> None:
    async with maker(tmp_path) as driver:
        instances = []
        for _ in range(2):
            await driver.start("switch")
            instances.append((await eventually(driver.observe, is_up("switch")))["switch"].instance)
            await driver.stop("switch")
            await eventually(driver.observe, lambda seen: "switch" not in seen)
        assert instances[0] != instances[1]


@DRIVERS
async def test_the_core_is_seen_and_services_do_not_touch_each_other(maker: Maker, tmp_path: Path) -> None:
    async with maker(tmp_path) as driver:
        await driver.start("switch")
        await driver.start("hermes")
        seen = await eventually(driver.observe, lambda seen: {"switch", "hermes", *CORE} <= set(seen))
        await driver.stop("switch")
        after = await eventually(driver.observe, lambda seen: "switch" not in seen)
        assert after["hermes"].instance == seen["hermes"].instance


@DRIVERS
async def test_starting_the_core_that_runs_changes_nothing(maker: Maker, tmp_path: Path) -> None:
    async with maker(tmp_path) as driver:
        before = await driver.observe()
        for service in CORE:
            await driver.start(service)
        after = await driver.observe()
        assert {name: after[name].instance for name in CORE} == {name: before[name].instance for name in CORE}


@DRIVERS
async def test_a_change_is_hinted_at(maker: Maker, tmp_path: Path) -> None:
    async with maker(tmp_path) as driver:
        await driver.start("switch")
        await driver.stop("switch")
        async with asyncio.timeout(10):
            assert await anext(driver.events()) == "switch"


@DRIVERS
async def test_usage_is_measured_or_not_claimed(maker: Maker, tmp_path: Path) -> None:
    async with maker(tmp_path) as driver:
        await driver.start("switch")
        await eventually(driver.observe, is_up("switch"))
        if driver.simulated:
            assert await driver.usage() == {}
            return
        first = (await eventually(driver.usage, lambda usage: "switch" in usage))["switch"]
        assert first.memory_mb > 0
        second = (await driver.usage())["switch"]
        assert second.cpu_sec >= first.cpu_sec >= 0
        await driver.stop("switch")
        await eventually(driver.observe, lambda seen: "switch" not in seen)
        assert "switch" not in await driver.usage()
