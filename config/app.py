"""What every service is made of: `build_house` gathers the foundation, `create_app` makes the FastAPI app.

Around the app stands one plain ASGI layer, `frame.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated

import httpx
from fastapi import APIRouter, Depends, FastAPI
from starlette.middleware import Middleware
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from config import auth
from config.auth import Authority, Caller
from config.clients import Clients
from config.clock import Clock, SystemClock
from config.contracts.health import Health, Readiness
from config.db import Database, prepare_runtime_folder
from config.events import Journal
from config.forkserver.link import ForkLink
from config.frame import Frame
from config.idempotency import Idempotency
from config.metrics import CONTENT_TYPE, Metrics
from config.problems import handlers
from config.processes import storage_families
from config.services import FLEET, Service, is_present, service_named
from config.settings import Settings
from config.work import WorkMeter

VERSION = "0.1.0"
Running = Callable[[], AbstractAsyncContextManager[object]]
Check = Callable[[], object]
_log = logging.getLogger(__name__)
_DEFAULT_BODY_MB = 16
_may_read_status = auth.Requires(auth.Scope.STATUS_READ)


@dataclass(slots=True)
class House:
    """The foundation as one service holds it; `present` are the services whose rooms this build holds, `fork_link` is
    madre's line to the fork server, where one started her."""

    service: Service
    settings: Settings
    clock: Clock
    db: Database
    auth: Authority
    journal: Journal
    clients: Clients
    idempotency: Idempotency
    metrics: Metrics
    work: WorkMeter
    present: tuple[str, ...]
    is_ready: bool = field(default=False)
    is_ending: bool = field(default=False)
    fork_link: ForkLink | None = None

    @property
    def caller(self) -> Caller:
        """This service itself, when it acts on nobody's behalf."""
        return Caller.of_service(self.service.name)


def build_house(
    name: str,
    settings: Settings,
    *,
    clock: Clock | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    present: Collection[str] | None = None,
) -> House:
    """Gather the foundation for the service `name`. `clock`, `transport` and `present` (the rooms there are, instead of
    those that this build holds) are the seams of tests."""
    clock = clock or SystemClock()
    prepare_runtime_folder(settings.runtime_path)
    database = Database(settings.resolved_database_url)
    authority = Authority(settings, database, clock, name)
    metrics = Metrics(name)
    metrics.add(lambda: storage_families(name))
    return House(
        service=service_named(name),
        settings=settings,
        clock=clock,
        db=database,
        auth=authority,
        journal=Journal(database, name, clock),
        clients=Clients(settings, authority, name, clock, transport),
        idempotency=Idempotency(database, clock),
        metrics=metrics,
        work=WorkMeter(),
        present=tuple(name for name, one in FLEET.items() if (is_present(one) if present is None else name in present)),
    )


class _FramedApp(FastAPI):
    """FastAPI inside the house's frame and its room's layers, so that a hot path can end before FastAPI."""

    frame: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Every request comes through the frame; start and stop of the service do not."""
        await (self.answer if scope["type"] == "lifespan" else self.frame)(scope, receive, send)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """FastAPI's own answer."""
        await super().__call__(scope, receive, send)


def create_app(
    house: House,
    routers: Sequence[APIRouter],
    *,
    run: Sequence[Running] = (),
    checks: Mapping[str, Check] | None = None,
    layers: Sequence[Middleware] = (),
    max_body_mb: int = _DEFAULT_BODY_MB,
) -> FastAPI:
    """The app of one service: its routers, plus /health, /ready and /metrics.

    `run` are entered in order when the service starts and left in reverse when it stops. `checks` name
    what /health shows beside the work in progress; a check answers from memory and calls nobody, and a
    value of False makes the service `degraded`. `layers` are ASGI layers of the room, inside the frame.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(house.db.close)
            stack.push_async_callback(house.clients.close)
            for running in run:
                await stack.enter_async_context(running())
            house.is_ready = True
            try:
                yield
            finally:
                house.is_ready = False

    service = house.service
    app = _FramedApp(
        title=f"VX11 {service.name}", description=service.duty, version=VERSION, lifespan=lifespan, redoc_url=None
    )
    app.state.house = house
    handlers.install(app)
    app.include_router(_vital_signs(house, checks or {}))
    for router in routers:
        app.include_router(router)
    inner: ASGIApp = app.answer
    for layer in layers:
        inner = layer.cls(inner, *layer.args, **layer.kwargs)
    app.frame = Frame(inner, house.metrics, house.clock, max_body_mb * 2**20)
    return app


def every(seconds: float, flow: Callable[[], Awaitable[None]], *, name: str) -> Running:
    """Run `flow` now and then every `seconds` while the service lives; a failed tick is logged, not fatal."""

    async def loop() -> None:
        while True:
            try:
                await flow()
            except Exception:  # border: a periodic loop outlives its ticks
                _log.exception("periodic flow %s failed", name)
            await asyncio.sleep(seconds)

    return lambda: task(loop(), name=name)


@asynccontextmanager
async def task(coroutine: Awaitable[None], *, name: str) -> AsyncIterator[None]:
    """Run a coroutine beside the block; cancelled and awaited when the block ends. Its failure is logged."""
    running = asyncio.ensure_future(coroutine)
    if isinstance(running, asyncio.Task):
        running.set_name(name)
    running.add_done_callback(_log_failure)
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _log_failure(ended: asyncio.Future[None]) -> None:
    if not ended.cancelled() and (failure := ended.exception()) is not None:
        _log.error("task %s ended with a failure", ended, exc_info=failure)


def _vital_signs(house: House, checks: Mapping[str, Check]) -> APIRouter:
    router = APIRouter(tags=["vital signs"])
    name, started = house.service.name, house.clock.monotonic()

    @router.get("/health", summary="How this service is; no calls to others")
    async def health() -> Health:
        found = {key: check() for key, check in checks.items()}
        return Health(
            status="degraded" if any(value is False for value in found.values()) else "ok",
            module=name,
            version=VERSION,
            uptime_sec=round(house.clock.monotonic() - started, 3),
            checks={"work_in_progress": house.work.in_progress, **found},
        )

    @router.get("/ready", summary="Whether this service can do its job", responses={503: {"model": Readiness}})
    async def ready() -> JSONResponse:
        body = Readiness(ready=house.is_ready, module=name)
        return JSONResponse(body.model_dump(), 200 if house.is_ready else 503)

    @router.get("/metrics", summary="Prometheus text", response_class=Response)
    async def metrics(_caller: Annotated[Caller, Depends(_may_read_status)]) -> Response:
        return Response(house.metrics.exposition(), media_type=CONTENT_TYPE)

    return router
