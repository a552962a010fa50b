"""What is measured of services, as the power state and Prometheus tell it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from config.clock import Clock, SystemClock
from config.metrics import Metrics
from madre.adapters.noop import NoopDriver
from madre.drivers import Usage
from tests.support.clock import ManualClock
from tests.support.eventually import eventually
from tests.support.power import Madre, ScriptedDriver, madre_in

OFTEN = {"figures_sec": 0.02}


def answering(service: str, *seconds: float, status: int = 200) -> Metrics:
    """What a service counts that has given these answers."""
    metrics = Metrics(service)
    for one in seconds:
        metrics.began()
        metrics.ended(status, one, one)
    return metrics


async def figures(madre: Madre, service: str) -> dict[str, Any]:
    services = (await madre.get("state"))["services"]
    found: dict[str, Any] = next(one["figures"] for one in services if one["name"] == service)
    return found


async def told(madre: Madre) -> dict[str, float]:
    lines = (await madre.client.get("/metrics")).text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def has(series: str) -> Callable[[dict[str, float]], bool]:
    return lambda found: series in found


async def test_the_state_tells_what_a_service_takes(tmp_path: Path) -> None:
    async with madre_in(tmp_path, clock=ManualClock()) as madre:
        await madre.open("switch")
        madre.driver.taken["switch"] = Usage(10.0, 64.0, 4096, 8192)
        madre.clock.advance(5)  # type: ignore[attr-defined]
        assert (await figures(madre, "switch"))["usage"]["cpu_sec"] == 10.0
        madre.driver.taken["switch"] = Usage(12.0, 65.0, 4096, 9000, memory_limit_mb=512.0)
        madre.clock.advance(20)  # type: ignore[attr-defined]
        assert (await figures(madre, "switch"))["usage"] == {
            "cpu_sec": 12.0,
            "cpu_percent": 48.0,
            "memory_mb": 65.0,
            "memory_limit_mb": 512.0,
            "read_bytes": 4096,
            "written_bytes": 9000,
        }
        state = await madre.get("state")
        by_name = {one["name"]: one for one in state["services"]}
        assert by_name["switch"]["memory_mb"] == 65.0
        assert by_name["hermes"]["figures"] == {"usage": None, "traffic": None}


async def test_the_state_tells_how_a_service_answers(tmp_path: Path) -> None:
    async with madre_in(tmp_path, clock=SystemClock(), power=OFTEN) as madre:
        counts = madre.driver.script("switch").counts = answering("switch", 0.2)
        await madre.open("switch")
        await eventually(lambda: figures(madre, "switch"), lambda seen: seen["traffic"] is not None)
        for seconds in (0.02, 0.02, 0.02, 4.0):
            counts.began()
            counts.ended(200 if seconds < 1 else 500, seconds, seconds)
        seen = await eventually(lambda: figures(madre, "switch"), lambda seen: seen["traffic"]["requests"] == 5)
        assert seen["traffic"]["errors"] == 1
        assert 10 <= seen["traffic"]["p50_ms"] <= 25
        assert 2500 <= seen["traffic"]["p99_ms"] <= 5000


async def test_prometheus_hears_of_every_service_from_madre_alone(tmp_path: Path) -> None:
    async with madre_in(tmp_path, clock=SystemClock(), power=OFTEN) as madre:
        madre.driver.script("switch").counts = answering("switch", 0.02, 0.3)
        madre.driver.taken["switch"] = Usage(1.5, 20.0, 7, 9)
        await madre.open("switch")
        found = await eventually(lambda: told(madre), has('vx11_service_requests_total{service="switch",status="2xx"}'))
        assert found['vx11_service_requests_total{service="switch",status="2xx"}'] == 2
        assert found['vx11_service_answer_seconds_bucket{le="0.025",service="switch"}'] == 1
        assert found['vx11_service_cpu_seconds_total{service="switch"}'] == 1.5
        assert found['vx11_service_memory_bytes{service="switch"}'] == 20 * 2**20
        assert found['vx11_service_read_bytes_total{service="switch"}'] == 7
        assert found['vx11_service_written_bytes_total{service="switch"}'] == 9
        assert found['vx11_service_state{service="switch",state="ready"}'] == 1
        assert found['vx11_service_state{service="hermes",state="asleep"}'] == 1
        assert found['vx11_service_memory_limit_bytes{service="hermes"}'] == 256 * 2**20
        assert (
            found['vx11_service_memory_limit_bytes{service="switch"}']
            > found['vx11_service_memory_limit_bytes{service="hermes"}']
        ), "models live in switch"
        own = 'vx11_service_requests_total{service="madre",status="2xx"}'
        await eventually(lambda: told(madre), lambda found: found[own] >= 1)  # she counts herself too


async def test_a_service_that_went_to_sleep_is_told_of_no_more(tmp_path: Path) -> None:
    async with madre_in(tmp_path, clock=SystemClock(), power=OFTEN) as madre:
        madre.driver.script("switch").counts = answering("switch", 0.02)
        await madre.open("switch")
        await eventually(lambda: told(madre), has('vx11_service_answer_seconds_count{service="switch"}'))
        await madre.post("window/close")
        gone = {
            'vx11_service_answer_seconds_count{service="switch"}',
            'vx11_service_cpu_seconds_total{service="switch"}',
        }
        await eventually(lambda: told(madre), lambda found: not gone & found.keys())


async def test_a_service_that_does_not_say_is_still_measured(tmp_path: Path) -> None:
    async with madre_in(tmp_path, clock=SystemClock(), power=OFTEN) as madre:
        madre.driver.script("switch").work = None
        madre.driver.script("hermes").counts = answering("hermes", 0.02)
        await madre.open("switch", "hermes")
        await eventually(lambda: told(madre), has('vx11_service_answer_seconds_count{service="hermes"}'))
        assert 'vx11_service_cpu_seconds_total{service="switch"}' in await told(madre)
        assert (await figures(madre, "switch"))["traffic"] is None


async def test_what_only_plays_is_never_measured(tmp_path: Path) -> None:
    clock = ManualClock()
    async with madre_in(tmp_path, clock=clock, driver=NoopDriver(clock), power=OFTEN) as madre:
        await madre.open("switch")
        assert await figures(madre, "switch") == {"usage": None, "traffic": None}
        assert not any(name.startswith("vx11_service_cpu") for name in await told(madre))


class SlowDriver(ScriptedDriver):
    """Measures only once it is let."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.let = asyncio.Event()

    async def usage(self) -> Mapping[str, Usage]:
        """The same, later."""
        await self.let.wait()
        return await super().usage()


async def test_a_look_that_takes_long_does_not_hold_the_state_up(tmp_path: Path) -> None:
    clock = SystemClock()
    driver = SlowDriver(clock)
    async with madre_in(tmp_path, clock=clock, driver=driver) as madre:
        await madre.open("switch")
        async with asyncio.timeout(5):
            assert (await figures(madre, "switch"))["usage"] is None
        driver.let.set()
        await eventually(lambda: figures(madre, "switch"), lambda seen: seen["usage"] is not None)
