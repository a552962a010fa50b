"""The lives of madre and of spawner, as a test ends and begins them, and what is left of them in rows."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import func, select

from config.app import build_house
from config.db import Database
from config.db_schema import Base, EventRow, PlanStep, PowerWindow
from config.settings import Settings
from madre.plan import Plan
from tests.support import databases
from tests.support.eventually import eventually, says_ready
from tests.support.house import ADMIN_HEADERS
from tests.support.mortal import LATER, settings_of
from tests.support.plans import Ledger, hermes_room, kept, spawner_room
from tests.support.ports import free_port_offset
from tests.support.server import served

ROOT = Path(__file__).resolve().parents[2]
STRIDE = 4 if databases.on_postgres() else 1  # a life there takes longer to begin; what is committed is the same
_PLAN_SEC = 60.0
_NO_LATER_USE = httpx.Limits(max_keepalive_connections=0)  # a connection ends with the life that it was made to


def commits() -> Iterator[int]:
    """The commits before which a life is to end, one life after the other."""
    return itertools.count(1, STRIDE)


@dataclass
class Mortal:
    """A service that is killed and lives again: one life at a time."""

    service: str
    http: httpx.AsyncClient
    process: asyncio.subprocess.Process
    pid: int = 0
    kills: int = 0
    is_doomed: bool = False

    async def be_born(self, dies_before_commit: int = 0, *, later: bool = False) -> None:
        """Begin a life; `later`: its commits count from `counts_now` on."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{dies_before_commit} {LATER if later else ''}\n".encode())
        self.pid = int((await self._said()).removeprefix("born "))
        self.is_doomed = False  # not before: what peers still do for the life before may not end this one unseen

    async def answers(self) -> None:
        """Return once it can be asked."""
        await eventually(partial(says_ready, self.http), bool, within_sec=_PLAN_SEC)

    def counts_now(self) -> None:
        """From now on its commits count."""
        os.kill(self.pid, signal.SIGUSR1)

    async def post(self, path: str, body: dict[str, Any]) -> httpx.Response | None:
        """What it answers; None where it died before that."""
        try:
            return await self.http.post(path, json=body)
        except httpx.TransportError:
            return None

    async def die(self) -> None:
        """End this life, now."""
        self.kill()
        await self.dead()

    def kill(self) -> None:
        """kill -9, unless that was done already."""
        self.is_doomed = True
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def dead(self) -> None:
        """Wait for the end of this life; it must be a kill."""
        assert await self._said() == f"died -{signal.SIGKILL.value}"
        self.pid, self.kills = 0, self.kills + 1

    async def _said(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().strip()


@dataclass
class Madre(Mortal):
    """Madre's lives in one folder, and the peers that she asks."""

    settings: Settings = field(kw_only=True)
    db: Database = field(kw_only=True)
    ledger: Ledger = field(default_factory=Ledger)
    repeated: list[str] = field(default_factory=list)

    async def comes_to_an_end(self, plan_id: str) -> Plan:
        """The plan once it is over."""
        return await eventually(
            partial(asyncio.to_thread, kept, self.db, plan_id), lambda plan: plan.status.is_over, within_sec=_PLAN_SEC
        )

    async def notes(self, plan_id: str, number: int, fact: str) -> str:
        """What the step has noted under that name, once it has."""
        look = partial(asyncio.to_thread, kept, self.db, plan_id)
        seen = await eventually(look, lambda plan: fact in (plan.step(number).result or {}), within_sec=_PLAN_SEC)
        return str((seen.step(number).result or {})[fact])

    async def dies_or_is_done(self, plan_id: str) -> bool:
        """Whether this life ended before the plan did."""
        dying = asyncio.ensure_future(self.dead())
        ending = asyncio.ensure_future(self.comes_to_an_end(plan_id))
        done, _ = await asyncio.wait({dying, ending}, return_when=asyncio.FIRST_COMPLETED)
        if dying in done:
            ending.cancel()
            return True
        # The rows say that it is over; what is left to commit is the runner's own, and may still be what it dies of.
        died, _ = await asyncio.wait({dying}, timeout=1)
        self.kill()
        await dying
        return bool(died)

    def events(self) -> int:
        """How many events of plans the journal holds."""
        with self.db.read() as session:
            told = select(func.count()).select_from(EventRow).where(EventRow.type.startswith("plan."))
            return session.scalar(told) or 0

    def is_finished(self, key: str) -> bool:
        """Whether the step of this key is over, as its row says."""
        plan_id, number = key.split(":")[:2]
        with self.db.read() as session:
            row = session.get(PlanStep, (plan_id, int(number)))
            return row is not None and row.status in ("DONE", "ERROR", "CANCELLED")

    def windows_of(self, opened_by: str) -> list[PowerWindow]:
        """The windows that somebody opened, live and past."""
        with self.db.read() as session:
            return list(session.scalars(select(PowerWindow).where(PowerWindow.opened_by == opened_by)))

    def must_have_let_go(self, plan: Plan) -> None:
        """Nothing that the plan opened for itself holds anything."""
        assert kept(self.db, plan.plan_id).windows == ()
        own = self.windows_of(f"plan:{plan.plan_id}")
        assert [row.window_id for row in own if row.state in ("opening", "open")] == []


@contextlib.asynccontextmanager
async def madre_in(folder: Path, *, peers: tuple[str, ...] = ("hermes", "spawner")) -> AsyncIterator[Madre]:
    """A folder with a database, peers on their ports in this process, and a madre to be born."""
    folder.mkdir(exist_ok=True)
    settings = settings_of(folder, free_port_offset())
    houses = {name: build_house(name, settings) for name in ("hermes", "spawner")}
    Base.metadata.create_all(databases.closed_later(houses["hermes"].db).writer)
    database = databases.closed_later(Database(settings.resolved_database_url))
    async with _begun("madre", folder, settings) as (http, process):
        mortal = Madre("madre", http, process, settings=settings, db=database)

        def asked(what: str, key: str) -> None:
            if what in ("spawn", "pull") and mortal.is_finished(key):
                mortal.repeated.append(key)

        mortal.ledger.moment = asked
        rooms = {"hermes": hermes_room, "spawner": spawner_room}
        try:
            async with contextlib.AsyncExitStack() as stack:
                for name in peers:
                    app = rooms[name](houses[name], mortal.ledger)
                    await stack.enter_async_context(served(app, port=settings.port_of(name)))
                yield mortal
        finally:
            mortal.kill()


@contextlib.asynccontextmanager
async def spawner_in(folder: Path, settings: Settings) -> AsyncIterator[Mortal]:
    """A real spawner to be born, in the house that `settings` describe."""
    async with _begun("spawner", folder, settings) as (http, process):
        mortal = Mortal("spawner", http, process)
        try:
            yield mortal
        finally:
            mortal.kill()


@contextlib.asynccontextmanager
async def _begun(
    service: str, folder: Path, settings: Settings
) -> AsyncIterator[tuple[httpx.AsyncClient, asyncio.subprocess.Process]]:
    with (folder / f"{service}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.support.mortal", service, str(folder), str(settings.port_offset)),
            cwd=ROOT,
            env={**os.environ, **databases.environment(folder)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    url = f"http://127.0.0.1:{settings.port_of(service)}"
    try:
        async with httpx.AsyncClient(base_url=url, headers=ADMIN_HEADERS, timeout=30, limits=_NO_LATER_USE) as http:
            yield http, process
    finally:
        process.kill()
        await process.wait()
