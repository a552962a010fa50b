"""The door on real sockets: a madre that wakes by request, and a service behind to pass requests to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request, WebSocket
from starlette.responses import JSONResponse, Response, StreamingResponse

from config.app import House, build_house
from config.contracts.power import PowerState, ServiceFigures, ServicePower, ServiceTraffic, Wake, WakeAnswer
from config.db_schema import Base
from tentaculo_link.app import create
from tests.support import databases
from tests.support.house import ADMIN_HEADERS, settings_in
from tests.support.ports import free_port_offset
from tests.support.server import served


@dataclass
class World:
    """Everything a test of the door may look at or change."""

    house: House
    url: str
    client: httpx.AsyncClient
    wakes: list[str] = field(default_factory=list)
    refuse_waking: bool = False
    lease_sec: float = 60.0
    seen: list[Request] = field(default_factory=list)
    swallowed: list[int] = field(default_factory=list)
    stream_cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    stop_upstream: AsyncExitStack = field(default_factory=AsyncExitStack)


def _madre(world: World) -> FastAPI:
    app = FastAPI()

    @app.post("/madre/power/wake")
    async def wake(body: Wake) -> WakeAnswer:
        world.wakes.append(body.service)
        return WakeAnswer(service=body.service, state="ready", lease_sec=world.lease_sec)

    @app.get("/madre/power/state")
    async def state() -> PowerState:
        traffic = ServiceTraffic(over_sec=60, requests=9, errors=1, p50_ms=2.5, p99_ms=80)
        figures = ServiceFigures(traffic=traffic)
        services = [ServicePower(name="switch", state="ready", since=None, restarts=2, memory_mb=61.5, figures=figures)]
        return PowerState(
            policy="solo_madre",
            windows=[],
            window_id=None,
            deadline=None,
            ttl_remaining_sec=None,
            active_services=["switch"],
            services=services,
        )

    return app


def _upstream(world: World) -> FastAPI:
    app = FastAPI()
    app.include_router(_plain(world))
    app.include_router(_streaming(world))
    return app


def _plain(world: World) -> APIRouter:
    router = APIRouter()

    @router.post("/switch/echo")
    async def echo(request: Request) -> JSONResponse:
        world.seen.append(request)
        body = await request.body()
        headers = dict(request.headers)
        return JSONResponse({"length": len(body), "headers": headers, "query": str(request.query_params)})

    @router.get("/switch/status/{code}")
    async def status(code: int) -> Response:
        return Response(b"said so", code, {"x-from": "switch", "connection": "close"})

    @router.get("/switch/queue/status")
    async def queue() -> dict[str, object]:
        return {"in_use": 1, "waiting": 2, "by_model": {"m": 2}}

    @router.websocket("/switch/ws/{name}")
    async def socket(websocket: WebSocket, name: str) -> None:
        await websocket.accept(subprotocol=(websocket.scope["subprotocols"] or [None])[0])
        while True:
            text = await websocket.receive_text()
            if text == "bye":
                await websocket.close(4001)
                return
            await websocket.send_text(f"{name}:{text}")

    return router


def _streaming(world: World) -> APIRouter:
    router = APIRouter()

    @router.get("/switch/stream")
    async def stream(request: Request) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                for number in range(10_000):
                    yield b"data: %d\n\n" % number
                    await asyncio.sleep(0.01)
            finally:
                world.stream_cancelled.set()

        return StreamingResponse(pieces(), media_type="text/event-stream")

    @router.get("/switch/silent")
    async def silent(request: Request) -> Response:
        while not await request.is_disconnected():
            await asyncio.sleep(0.01)
        world.stream_cancelled.set()
        return Response()

    @router.post("/switch/silent")
    async def swallow(request: Request) -> Response:
        world.seen.append(request)
        try:
            world.swallowed.append(len(await request.body()))
            while not await request.is_disconnected():
                await asyncio.sleep(0.01)
        finally:
            world.stream_cancelled.set()
        return Response()

    @router.get("/switch/breaks")
    async def breaks(kind: str) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"data: 1\n\n"
            raise RuntimeError("the service falls over in the middle")

        return StreamingResponse(pieces(), media_type=kind)

    return router


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A door on a free port, with madre and switch behind it."""
    async with world_in(tmp_path) as world:
        yield world


@asynccontextmanager
async def world_in(folder: Path, **settings: Any) -> AsyncIterator[World]:
    """The same, with settings of its own."""
    house = build_house("tentaculo_link", settings_in(folder, port_offset=free_port_offset(), **settings))
    Base.metadata.create_all(databases.closed_later(house.db).writer)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx.AsyncClient(headers=ADMIN_HEADERS, timeout=20))
        world = World(house, "", client)
        await stack.enter_async_context(served(_madre(world), port=house.settings.port_of("madre")))
        upstream = await stack.enter_async_context(world.stop_upstream)
        await upstream.enter_async_context(served(_upstream(world), port=house.settings.port_of("switch")))
        world.url = await stack.enter_async_context(served(create(house)))
        client.base_url = httpx.URL(world.url)
        yield world
