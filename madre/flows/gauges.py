"""Keeps what is measured of every service: a look every few seconds, and one when somebody asks.

Madre tells Prometheus of all services, those that sleep by and by among them: their own ports come and go with
them, hers does not.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Literal, get_args

from config.app import House, every
from config.contracts.power import ServiceFigures, ServiceState
from config.errors import Unavailable
from config.memory import model_budget_mb
from config.metrics import Family, Labels, Spread, SpreadFamily
from config.services import FLEET
from config.settings import Settings
from madre.clients import Watched
from madre.drivers import Driver
from madre.figures import Figures
from madre.lives import Life
from madre.traffic import Traffic, read_storage, read_traffic

_FRESH_SEC = 1.0
_PATIENCE_SEC = 0.5  # a slow look, at a busy engine say, must not make the state slow
_MIB = 2**20
_STATES = tuple(state for state in get_args(ServiceState) if state != "absent")
_log = logging.getLogger(__name__)
Known = Mapping[str, Life]


class Gauges:
    """The figures of all services, and madre's part of them for Prometheus."""

    def __init__(self, house: House, driver: Driver, known: Callable[[], Known]) -> None:
        self._house = house
        self._driver = driver
        self._known = known
        self._watched = Watched(house.clients)
        self._figures = Figures(limits_mb(house.settings))
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = float("-inf")
        house.metrics.add(self.families)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look again and again while the block runs."""
        async with every(self._house.settings.power.figures_sec, self.look, name="figures")():
            try:
                yield
            finally:
                if self._looking is not None:
                    self._looking.cancel()
                    await asyncio.gather(self._looking, return_exceptions=True)

    async def look(self) -> None:
        """Measure what services take and ask those that are up what they have answered."""
        await self._measurement()
        if self._driver.simulated:
            return
        up = [name for name, life in self._known().items() if life.state in ("ready", "unready")]
        said = await asyncio.gather(*(self._exposition(name) for name in up))
        told = {name: read_traffic(text) for name, text in zip(up, said, strict=True) if text}
        moved = {name: read_storage(text) for name, text in zip(up, said, strict=True) if text}
        self._figures.moved({name: count for name, count in moved.items() if count is not None})
        self._figures.answered(_known_ones(told), self._house.clock.monotonic(), self._ages())

    async def fresh(self) -> Callable[[str], ServiceFigures]:
        """What is known of each service; what it takes was measured within the last second, unless that takes long."""
        if self._house.clock.monotonic() - self._looked_at > _FRESH_SEC:
            await asyncio.wait({self._measurement()}, timeout=_PATIENCE_SEC)
        return self._figures.of

    def families(self) -> Iterator[Family | SpreadFamily]:
        """Everything known now, for Prometheus."""
        yield from _life_families(self._known())
        yield from self._usage_families()
        yield from _traffic_families(self._figures.traffic)

    def _measurement(self) -> asyncio.Task[None]:
        """The look that is under way, or else a new one."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._measure(), name="one look")
        return self._looking

    async def _measure(self) -> None:
        self._looked_at = self._house.clock.monotonic()
        try:
            self._figures.took(await self._driver.usage(), self._looked_at, self._ages())
        except Unavailable as error:
            _log.warning("what services take is not known: %s", error.detail)

    def _ages(self) -> dict[str, float]:
        now = self._house.clock.now()
        return {name: (now - life.run_since).total_seconds() for name, life in self._known().items() if life.run_since}

    async def _exposition(self, service: str) -> str | None:
        if service == self._house.service.name:
            return self._house.metrics.exposition().decode()
        return await self._watched.exposition(service)

    def _usage_families(self) -> Iterator[Family]:
        usage = self._figures.usage
        limits = {name: limit * _MIB for name, limit in self._figures.limits_mb.items() if name in self._known()}
        yield _family("gauge", "memory_limit_bytes", "What a service may take.", limits)
        memory = {name: one.memory_mb * _MIB for name, one in usage.items()}
        yield _family("gauge", "memory_bytes", "What all processes of a service take.", memory)
        cpu = {name: one.cpu_sec for name, one in usage.items()}
        yield _family("counter", "cpu_seconds", "CPU time of all processes of a service.", cpu)
        read = {name: one.read_bytes for name, one in usage.items() if one.read_bytes is not None}
        yield _family("counter", "read_bytes", "Bytes a service had read from storage.", read)
        written = {name: one.written_bytes for name, one in usage.items() if one.written_bytes is not None}
        yield _family("counter", "written_bytes", "Bytes a service had written to storage.", written)


def limits_mb(settings: Settings) -> dict[str, float]:
    """What each service may take, MiB; the one that holds models: what is reserved for it and for them."""
    models = model_budget_mb(settings)
    return {name: service.limit_mb or service.memory_mb + models for name, service in FLEET.items()}


def _known_ones(told: Mapping[str, Traffic | None]) -> dict[str, Traffic]:
    return {name: traffic for name, traffic in told.items() if traffic is not None}


def _life_families(known: Known) -> Iterator[Family]:
    states: dict[Labels, float] = {
        (name, state): life.state == state for name, life in known.items() for state in _STATES
    }
    yield Family("gauge", "vx11_service_state", "1 for the state a service is in.", ("service", "state"), states)
    restarts = {name: life.restarts for name, life in known.items()}
    yield _family("counter", "restarts", "Starts after a failure.", restarts)


def _traffic_families(traffic: Mapping[str, Traffic]) -> Iterator[Family | SpreadFamily]:
    by_status: dict[Labels, float] = {
        (name, status): count for name, one in traffic.items() for status, count in one.by_status.items()
    }
    labels = ("service", "status")
    yield Family("counter", "vx11_service_requests", "HTTP requests by class of status.", labels, by_status)
    answers: dict[Labels, Spread] = {(name,): one.answers for name, one in traffic.items()}
    yield SpreadFamily("vx11_service_answer_seconds", "Time until an answer begins.", ("service",), answers)


def _family(kind: Literal["counter", "gauge"], name: str, meaning: str, values: Mapping[str, float]) -> Family:
    """`vx11_service_<name>`, one value a service."""
    return Family(kind, f"vx11_service_{name}", meaning, ("service",), {(name,): one for name, one in values.items()})
