"""Madre with services whose behaviour a test scripts: slow, dying, busy, silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from config.app import House
from config.auth import Caller
from config.clock import Clock
from config.errors import StartFailed, Unavailable
from config.metrics import Metrics
from config.services import CORE, FLEET
from config.settings import PowerSettings
from madre.app import create
from madre.drivers import Driver, Observed, Usage
from madre.runner import Runner
from tests.support.clock import ManualClock
from tests.support.house import client_of, house_in

TICK_SEC = 0.02


@dataclass
class Script:
    """How one service behaves. `work` is what /health says; None: it does not answer. `counts` is its /metrics."""

    becomes_ready: bool = True
    dies_at_once: bool = False
    cannot_begin: str = ""
    work: int | None = 0
    last_words: str = ""
    counts: Metrics | None = None


@dataclass
class ScriptedDriver:
    """Runs nothing, and lets a test decide what seems to run. Records what it was told.

    With `look_sec` every look at what runs lets that much of a manual clock's time pass: time then goes on only as fast
    as madre follows it, however busy the machine is.
    """

    clock: Clock
    name: str = "scripted"
    simulated: bool = False
    scripts: dict[str, Script] = field(default_factory=dict)
    told: list[tuple[str, str]] = field(default_factory=list)
    running: dict[str, Observed] = field(default_factory=dict)
    changed: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    lives: int = 0
    silent: bool = False
    gone: set[str] = field(default_factory=set)  # of the core: what somebody stopped by hand
    taken: dict[str, Usage] = field(default_factory=dict)
    look_sec: float = 0.0

    def script(self, service: str) -> Script:
        """The script of `service`, to be changed in place."""
        return self.scripts.setdefault(service, Script())

    def begin(self, service: str) -> None:
        """Have a life of `service` begin, as if it had been started."""
        self.lives += 1
        self.running[service] = Observed(str(self.lives), self.clock.now())

    def crash(self, service: str) -> None:
        """End the life of `service` unasked."""
        del self.running[service]
        self.changed.put_nowait(service)

    async def start(self, service: str) -> None:
        """Note the order; the service runs unless its script says that it dies at once or cannot even begin."""
        self.told.append(("start", service))
        self.gone.discard(service)
        if refusal := self.script(service).cannot_begin:
            raise StartFailed(refusal)
        if not self.script(service).dies_at_once:
            self.begin(service)

    async def stop(self, service: str) -> None:
        """Note the order; the service is gone."""
        self.told.append(("stop", service))
        self.running.pop(service, None)

    async def observe(self) -> Mapping[str, Observed]:
        """What seems to run, ready as scripted; Unavailable while what runs it is silent."""
        if self.look_sec and isinstance(self.clock, ManualClock):
            self.clock.advance(self.look_sec)
        if self.silent:
            raise Unavailable("The engine does not answer.")
        core = {service: Observed("core", self.clock.now(), ready=True) for service in CORE if service not in self.gone}
        found = {name: replace(seen, ready=self.script(name).becomes_ready) for name, seen in self.running.items()}
        return core | found

    async def events(self) -> AsyncIterator[str]:
        """Crashes."""
        while True:
            yield await self.changed.get()

    async def usage(self) -> Mapping[str, Usage]:
        """A round figure for what seems to run, unless a test set another."""
        return {service: self.taken.get(service, Usage(1.0, 20.0)) for service in self.running}

    async def last_words(self, service: str) -> str:
        """As scripted."""
        return self.script(service).last_words

    def transport(self) -> httpx.AsyncBaseTransport:
        """Answers /health and /metrics for every service as scripted."""
        names = {service.port: service.name for service in FLEET.values()}

        def answer(request: httpx.Request) -> httpx.Response:
            service = names.get(request.url.port or 0, "")
            script = self.script(service)
            if script.work is None or not service:
                raise httpx.ConnectError("nobody there")
            if request.url.path == "/metrics":
                return httpx.Response(200, content=script.counts.exposition() if script.counts else b"")
            checks = {"work_in_progress": script.work}
            body = {"status": "ok", "module": service, "version": "0", "uptime_sec": 1, "checks": checks}
            return httpx.Response(200, json=body)

        return httpx.MockTransport(answer)


@dataclass
class Madre:
    """A running madre, her driver, and ways to speak to her."""

    house: House
    driver: ScriptedDriver
    client: httpx.AsyncClient
    clock: Clock
    app: FastAPI

    async def post(self, path: str, body: dict[str, Any] | None = None, status: int = 200) -> dict[str, Any]:
        """POST under /madre/power; the answer, once its status is as expected."""
        answer = await self.client.post(f"/madre/power/{path}", json=body or {})
        assert answer.status_code == status, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def get(self, path: str) -> dict[str, Any]:
        """GET under /madre/power."""
        answer = await self.client.get(f"/madre/power/{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def open(self, *services: str, **fields: Any) -> dict[str, Any]:
        """Open a window and have it."""
        return await self.post("window/open", {"services": list(services), **fields}, 201)

    async def wake(self, service: str, wait_sec: float = 5) -> httpx.Response:
        """Wake as the gateway does."""
        token = self.house.auth.sign(Caller.of_service("tentaculo_link"))
        body = {"service": service, "wait_sec": wait_sec}
        return await self.client.post("/madre/power/wake", json=body, headers={"x-vx11-token": token})

    async def state_of(self, service: str) -> str:
        """How power sees one service."""
        services = (await self.get("state"))["services"]
        return str(next(one["state"] for one in services if one["name"] == service))


@asynccontextmanager
async def madre_in(
    folder: Path,
    *,
    clock: Clock | None = None,
    driver: Driver | None = None,
    runner: Runner | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    power: dict[str, Any] | None = None,
    **changes: Any,
) -> AsyncIterator[Madre]:
    """Madre on a scripted driver (or `driver`) in `folder`, ticking fast on the clock given; `runner` for her plans,
    `transport` to other peers than those the driver has."""
    clock = clock or ManualClock()
    scripted = driver or ScriptedDriver(clock)
    settings = PowerSettings(**{"windows_ttl_check_interval": TICK_SEC, "memory_mb": 4096, **(power or {})})
    if transport is None and isinstance(scripted, ScriptedDriver):
        transport = scripted.transport()
    house = house_in(folder, "madre", clock=clock, transport=transport, power=settings, **changes)
    app = create(house, scripted, runner)
    async with client_of(app) as client:
        yield Madre(house, scripted, client, clock, app)  # type: ignore[arg-type]  # tests of others do not script
