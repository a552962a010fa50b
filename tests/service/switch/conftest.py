"""Switch on a real socket, with scripted worker processes behind it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from config.app import House
from config.auth import Caller, Role
from config.clock import Clock
from config.db_schema import Base, EventRow, LocalModelV2
from config.settings import SwitchSettings
from switch.adapters.worker import Program
from switch.app import create
from tests.support import scripted_worker
from tests.support.eventually import eventually
from tests.support.house import ADMIN_HEADERS, house_in
from tests.support.server import served

HI = [{"role": "user", "content": "hi"}]
MODEL_MB = 100  # what Switch reserves for one of these models


@dataclass
class Room:
    """A running Switch and what tests ask of it."""

    house: House
    client: httpx.AsyncClient
    stage: Path

    def plan(self, model: str, *plans: dict[str, Any]) -> None:
        """How the workers of `model` behave, start by start."""
        (self.stage / f"{model}.json").write_text(json.dumps(plans))

    def let(self, name: str) -> None:
        """Put the file there that a plan waits for."""
        (self.stage / name).touch()

    def log(self, model: str, event: str) -> list[dict[str, Any]]:
        """What the workers of `model` wrote down."""
        file = self.stage / f"{model}.log"
        lines = file.read_text().splitlines() if file.exists() else []
        return [entry for entry in map(json.loads, lines) if entry["event"] == event]

    async def logged(self, model: str, event: str, times: int = 1) -> list[dict[str, Any]]:
        """The same, once it has happened so often."""

        async def look() -> list[dict[str, Any]]:
            return self.log(model, event)

        return await eventually(look, lambda entries: len(entries) >= times)

    def starts(self, model: str) -> int:
        """How often a worker of `model` was started."""
        return len(self.log(model, "start"))

    def complete(self, model: str, *, stream: bool = False, **more: Any) -> Any:
        """Ask for a chat completion; await what it gives."""
        body = {"model": model, "messages": HI, "stream": stream}
        return self.client.post("/v1/chat/completions", json=body, **more)

    def streaming(self, model: str) -> AbstractAsyncContextManager[httpx.Response]:
        """Ask for a streamed completion."""
        return self.client.stream("POST", "/v1/chat/completions", json={"model": model, "messages": HI, "stream": True})

    async def model(self, name: str) -> dict[str, Any]:
        """A model as `GET /switch/models` shows it."""
        models = (await self.client.get("/switch/models")).json()["models"]
        return next(model for model in models if model["name"] == name)

    async def until(self, name: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The same, once `holds` is true of it."""
        return await eventually(lambda: self.model(name), holds)

    async def at_stage(self, name: str, stage: str) -> dict[str, Any]:
        """The same, once the model is at this stage of its life."""
        return await self.until(name, lambda model: model["stage"] == stage)

    def rows(self, table: type[Base]) -> list[Any]:
        """All rows of a table, oldest first."""
        with self.house.db.read() as session:
            return list(session.scalars(select(table)))

    async def kept(self, table: type[Base], count: int = 1) -> list[Any]:
        """All rows of a table, once there are so many: rows of finished requests are written behind."""

        async def look() -> list[Any]:
            return self.rows(table)

        return await eventually(look, lambda rows: len(rows) >= count)

    def events(self, type: str) -> list[dict[str, Any]]:
        """Data of the journal's events of one type."""
        return [row.data for row in self.rows(EventRow) if row.type == type]

    async def told(self, type: str) -> list[dict[str, Any]]:
        """The same, once there is one: an event is written beside the answer."""

        async def look() -> list[dict[str, Any]]:
            return self.events(type)

        return await eventually(look, bool)

    def change(self, model: str, **values: Any) -> None:
        """Change a registry row, as hermes would."""
        with self.house.db.write() as session:
            row = session.get_one(LocalModelV2, model)
            for name, value in values.items():
                setattr(row, name, value)

    def token(self, role: Role) -> dict[str, str]:
        """Headers of a caller of this role, as the gateway sends them."""
        return {"x-vx11-token": self.house.auth.sign(Caller("ann", role, f"t-{role}"))}


def add_model(house: House, name: str, *, need_mb: int = MODEL_MB) -> None:
    """Register a model for which Switch will reserve `need_mb`."""
    now = house.clock.now()
    row = LocalModelV2(
        name=name,
        engine="llama.cpp",
        path=f"{name}.gguf",
        size_bytes=(need_mb - 91) << 20,  # beside the overhead of `choose.need_mb`
        sha256=name,
        task_type="chat",
        max_context=2048,
        enabled=True,
        last_used_at=None,
        compatibility="ok",
        tags=[],
        meta_info={"kv_values_per_token": 0},
        created_at=now,
        updated_at=now,
    )
    with house.db.write() as session:
        session.add(row)


@asynccontextmanager
async def switch_in(
    folder: Path,
    *,
    clock: Clock | None = None,
    program: Program | None = None,
    budget_mb: int = 10 * MODEL_MB,
    again: bool = False,
    **settings: Any,
) -> AsyncIterator[Room]:
    """Switch with three models, `a`, `b` and `c`, in the registry; `again` for another life of one that was there."""
    stage = folder / "stage"
    stage.mkdir(exist_ok=again)
    command = (sys.executable, "-I", scripted_worker.__file__, str(stage))
    house = house_in(
        folder,
        "switch",
        clock=clock,
        model_memory_mb=budget_mb,
        switch=SwitchSettings(**{"prefix_ram_mb": 0} | settings),
    )
    for name in () if again else ("a", "b", "c"):
        add_model(house, name)
    app = create(house, worker=program or Program(command, grace_sec=0.5))
    async with served(app) as url, httpx.AsyncClient(base_url=url, headers=ADMIN_HEADERS, timeout=30) as client:
        yield Room(house, client, stage)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with switch_in(tmp_path) as room:
        yield room


async def gone(pid: int) -> None:
    """Return once a process has ended and was waited for."""

    async def look() -> bool:
        return Path(f"/proc/{pid}").exists()

    await eventually(look, lambda there: not there)


def asking(room: Room, model: str, **more: Any) -> asyncio.Task[httpx.Response]:
    """A request under way."""
    return asyncio.ensure_future(room.complete(model, **more))
