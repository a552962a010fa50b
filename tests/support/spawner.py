"""Spawner in a temporary folder, talked to over ASGI, with a cage that plays what the code of a task says."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from config.app import House
from config.auth import sha256_of
from config.clock import Clock
from config.db_schema import ApiToken, AuditLog, EventRow
from config.settings import SpawnerSettings
from spawner.adapters.leftovers import Leftovers
from spawner.app import create
from spawner.cage import Ending, Guard, Level, Promise, Rung, Task, Verdict
from spawner.nursery.segments import Segments
from tests.support.eventually import eventually
from tests.support.house import client_of, house_in

ENDED = ("DONE", "ERROR", "KILLED", "EXPIRED")
WELL = Verdict(Ending.EXITED, exit_code=0, cpu_sec=0.1, wall_sec=0.2, max_rss_mb=9.5)
FAILED = Verdict(Ending.EXITED, exit_code=1, detail="It ended with the exit code 1.")
Peers = Callable[[httpx.Request], httpx.Response] | Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]
patiently = partial(eventually, within_sec=60)  # a busy machine takes its time
_NO_REAL_PID = 10_000_000  # beyond what a kernel hands out


def level(*open_promises: Promise, rung: Rung = Rung.SANDLOCK) -> Level:
    """A level that keeps every promise but these."""
    return Level(rung, tuple(Guard(promise, "the script", promise not in open_promises) for promise in Promise))


@dataclass
class _Run:
    task: Task
    ended: asyncio.Future[Verdict]


@dataclass
class ScriptedCage:
    """Plays: `plays` holds the verdicts for a code, one a try; code that begins with `hang` runs until it is ended;
    everything else is well at once. Each says its code and a line break."""

    level: Level = field(default_factory=level)
    plays: dict[str, list[Verdict]] = field(default_factory=dict)
    seen: list[Task] = field(default_factory=list)
    running: dict[int, _Run] = field(default_factory=dict)
    most_at_once: int = 0
    closed: bool = False
    _pids: Any = field(default_factory=lambda: itertools.count(_NO_REAL_PID))

    async def run(self, task: Task, output: Path, started: Callable[[int], None]) -> Verdict:
        self.seen.append(task)
        pid, code = next(self._pids), task.argv[-1]
        run = self.running[pid] = _Run(task, asyncio.get_running_loop().create_future())
        self.most_at_once = max(self.most_at_once, len(self.running))
        try:
            self.say(output, f"{code}\n")
            started(pid)
            if code.startswith("hang"):
                return await run.ended
            await asyncio.sleep(0)
            play = self.plays.get(code)
            return play.pop(0) if play else WELL
        finally:
            del self.running[pid]

    def say(self, output: Path, text: str) -> None:
        output.mkdir(parents=True, exist_ok=True)
        segments = Segments(output, 1 << 20)
        segments.write(text.encode())
        segments.close()

    def finish(self, code: str, verdict: Verdict = WELL) -> None:
        """Have the hanging task with this code end."""
        for run in self.running.values():
            if run.task.argv[-1] == code and not run.ended.done():
                run.ended.set_result(verdict)

    @property
    def at_work(self) -> set[str]:
        """The codes of the tasks that hang."""
        return {run.task.argv[-1] for run in self.running.values()}

    async def kill(self, pid: int) -> bool:
        run = self.running.get(pid)
        if run is None or run.ended.done():
            return False
        run.ended.set_result(Verdict(Ending.KILLED))
        return True

    async def close(self) -> None:
        self.closed = True


@dataclass
class Spawner:
    """A running spawner and what tests ask of it."""

    client: httpx.AsyncClient
    house: House
    cage: ScriptedCage

    async def spawn(self, code: str | None = None, headers: dict[str, str] | None = None, **order: Any) -> str:
        """Have a job taken on; its id."""
        body = {**({} if code is None else {"code": code}), **order}
        answer = await self.client.post("/spawner/spawn", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["spawn_id"])

    async def job(self, spawn_id: str) -> dict[str, Any]:
        """A job as it stands."""
        answer = await self.client.get(f"/spawner/jobs/{spawn_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def comes_to(self, spawn_id: str, *status: str, phase: str | None = None) -> dict[str, Any]:
        """A job once it has one of these statuses, and this phase."""
        return await patiently(
            lambda: self.job(spawn_id), lambda job: job["status"] in status and phase in (None, job["phase"])
        )

    async def ended(self, spawn_id: str) -> dict[str, Any]:
        """A job once it has ended."""
        return await self.comes_to(spawn_id, *ENDED)

    async def ran(self, code: str, **order: Any) -> dict[str, Any]:
        """Run a job; how it ended."""
        return await self.ended(await self.spawn(code, **order))

    async def at_work(self, *codes: str) -> None:
        """Return once exactly these hang."""

        async def look() -> set[str]:
            return self.cage.at_work

        await patiently(look, lambda found: found == set(codes))

    async def post(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> httpx.Response:
        """POST below `/spawner/`."""
        return await self.client.post(f"/spawner/{path}", json=body, headers=headers)

    def events(self, prefix: str = "job.") -> list[EventRow]:
        """Journal rows whose type begins so."""
        with self.house.db.read() as session:
            rows = session.query(EventRow).order_by(EventRow.id).all()
        return [row for row in rows if row.type.startswith(prefix)]

    def audit(self) -> list[AuditLog]:
        """The audit chain."""
        with self.house.db.read() as session:
            return session.query(AuditLog).order_by(AuditLog.id).all()

    def token_of(self, user: str, role: str = "user") -> dict[str, str]:
        """Headers of a caller with this role."""
        token = f"vx11_{user}-of-the-tests"
        with self.house.db.write() as session:
            row = ApiToken(
                token_id=user, token_sha256=sha256_of(token), name=user, user=user, role=role,
                created_at=self.house.clock.now(), expires_at=None, revoked_at=None, replaced_by=None,
            )  # fmt: skip
            session.add(row)
        return {"x-vx11-token": token}


def _nobody(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody listens", request=request)


@asynccontextmanager
async def spawner_in(
    folder: Path,
    *,
    cage: ScriptedCage | None = None,
    clock: Clock | None = None,
    peers: Peers = _nobody,
    tick_sec: float = 0.02,
    **settings: Any,
) -> AsyncIterator[Spawner]:
    """Spawner whose data lie in `folder`; retries do not wait unless `backoff_sec` says so. `peers` answers for all
    other services, which sleep unless a test says otherwise."""
    cage = cage or ScriptedCage()
    given = SpawnerSettings(**{"backoff_sec": 0, "together_mb": 65_536, "free_mb": 0, **settings})
    house = house_in(folder, "spawner", clock=clock, transport=httpx.MockTransport(peers), spawner=given)
    processes = folder / "no processes"
    processes.mkdir(exist_ok=True)
    app = create(house, cage=cage, leftovers=Leftovers(processes), luck=random.Random(7), tick_sec=tick_sec)
    async with client_of(app) as client:
        yield Spawner(client, house, cage)
