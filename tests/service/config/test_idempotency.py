"""The same key gives the same answer, and starts the work once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from config.app import create_app
from config.auth import Caller, Requires, Role, Scope
from config.db import Database
from config.db_schema.kernel import IdempotencyKey
from config.errors import Conflict
from config.idempotency import Idempotency
from tests.support import crowd
from tests.support.clock import ManualClock
from tests.support.eventually import eventually
from tests.support.house import ADMIN_HEADERS, client_of, house_in

KEYED = {**ADMIN_HEADERS, "idempotency-key": "k-1"}


class Job(BaseModel):
    name: str


class Started(BaseModel):
    number: int


@dataclass
class Works:
    """A service that starts jobs, held up or failing as a test wants it."""

    client: httpx.AsyncClient
    clock: ManualClock
    eva: dict[str, str]
    db: Database
    started: int = 0
    fails: list[Exception] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> Started:
        self.started += 1
        number = self.started
        await self.go_on.wait()
        if self.fails:
            raise self.fails.pop()
        return Started(number=number)

    async def under_way(self) -> None:
        """Wait until a job has been started."""

        async def started() -> int:
            return self.started

        await eventually(started, lambda count: count > 0)

    async def passes(self, seconds: float) -> None:
        """Let so much time pass, and whoever is at work say once that they are."""
        self.clock.advance(seconds)
        await eventually(lambda: self.db.reading(_claims), lambda found: found == {self.clock.now()})

    async def post(
        self, name: str = "a", path: str = "/jobs", headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        answer = await self.client.post(path, json={"name": name}, headers=KEYED if headers is None else headers)
        body = answer.json()
        return answer.status_code, body.get("code") or f"job {body['number']}"


def _claims(session: Session) -> set[datetime]:
    return set(session.scalars(select(IdempotencyKey.created_at).where(IdempotencyKey.answer.is_(None))))


@asynccontextmanager
async def works_in(folder: Path, *, renewed_every_sec: float = 3600) -> AsyncIterator[Works]:
    """Claims are renewed by the time that really passes: as good as never, or at once where a test says so."""
    clock = ManualClock()
    house = house_in(folder, "hermes", clock=clock)
    idempotency = Idempotency(house.db, clock, renewed_every_sec=renewed_every_sec)
    router = APIRouter()

    @router.post("/jobs")
    @router.post("/more")
    async def start(request: Request, _body: Job, caller: Caller = Depends(Requires(Scope.CHAT))) -> Response:
        return await idempotency.once(request, caller, 202, works.start)

    async with client_of(create_app(house, [router])) as client:
        eva = {"x-vx11-token": house.auth.sign(Caller("eva", Role.USER, "t")), "idempotency-key": "k-1"}
        works = Works(client, clock, eva, house.db)
        works.go_on.set()
        yield works


async def test_without_a_key_each_request_is_its_own(tmp_path: Path) -> None:
    async with works_in(tmp_path) as works:
        assert [await works.post(headers=ADMIN_HEADERS) for _ in range(2)] == [(202, "job 1"), (202, "job 2")]


async def test_the_same_key_gives_the_same_answer(tmp_path: Path) -> None:
    async with works_in(tmp_path) as works:
        assert [await works.post() for _ in range(3)] == [(202, "job 1")] * 3
        assert works.started == 1


async def test_the_same_key_with_another_body_or_query_is_refused(tmp_path: Path) -> None:
    async with works_in(tmp_path) as works:
        await works.post()
        assert await works.post(name="b") == (422, "invalid")
        assert await works.post(path="/jobs?apply=true") == (422, "invalid")
        assert works.started == 1


async def test_a_key_belongs_to_a_caller_and_a_path(tmp_path: Path) -> None:
    async with works_in(tmp_path) as works:
        assert await works.post() == (202, "job 1")
        assert await works.post(path="/more") == (202, "job 2")
        assert await works.post(headers=works.eva) == (202, "job 3")
        assert await works.post() == (202, "job 1")


async def test_while_the_first_is_at_work_the_second_is_told_so(tmp_path: Path) -> None:
    async with works_in(tmp_path) as works:
        works.go_on.clear()
        first = asyncio.create_task(works.post())
        await works.under_way()
        assert await works.post() == (409, "still_at_work")
        works.go_on.set()
        assert await first == (202, "job 1")
        assert await works.post() == (202, "job 1")


async def test_of_many_at_once_one_runs(tmp_path: Path) -> None:
    async with works_in(tmp_path) as works:
        answers = await asyncio.gather(*(works.post() for _ in range(20)))
        assert works.started == 1
        assert set(answers) <= {(202, "job 1"), (409, "still_at_work")}


def test_of_many_processes_one_claims_a_key(database: Database) -> None:
    assert sorted(crowd.crowd(crowd.claim, *[(database.url,)] * 9)) == [*[False] * 8, True]


@pytest.mark.parametrize(("error", "told"), [(Conflict("x"), (409, "conflict")), (LookupError(), (500, "internal"))])
async def test_a_failure_frees_the_key(tmp_path: Path, error: Exception, told: tuple[int, str]) -> None:
    async with works_in(tmp_path) as works:
        works.fails.append(error)
        assert await works.post() == told
        assert await works.post() == (202, "job 2")
        assert await works.post() == (202, "job 2")


async def test_a_request_given_up_frees_the_key(tmp_path: Path) -> None:
    async with works_in(tmp_path) as works:
        works.go_on.clear()
        first = asyncio.create_task(works.post())
        await works.under_way()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        works.go_on.set()
        assert await works.post() == (202, "job 2")


async def test_an_answer_is_kept_for_a_day(tmp_path: Path) -> None:
    async with works_in(tmp_path) as works:
        await works.post()
        works.clock.advance(24 * 3600)
        assert await works.post() == (202, "job 1")
        works.clock.advance(1)
        assert await works.post() == (202, "job 2")


async def test_a_claim_whose_process_died_is_free_after_half_a_minute(tmp_path: Path) -> None:
    async with works_in(tmp_path) as works:
        works.go_on.clear()
        dead = asyncio.create_task(works.post())
        await works.under_way()
        works.clock.advance(29)
        assert await works.post() == (409, "still_at_work")
        works.clock.advance(1)
        works.go_on.set()
        assert await works.post() == (202, "job 2")
        await dead


async def test_a_claim_is_held_for_as_long_as_its_request_is_at_work(tmp_path: Path) -> None:
    async with works_in(tmp_path, renewed_every_sec=0.01) as works:
        works.go_on.clear()
        first = asyncio.create_task(works.post())
        await works.under_way()
        for _ in range(20):
            await works.passes(29)
        assert await works.post() == (409, "still_at_work")
        works.go_on.set()
        assert await first == (202, "job 1")
        assert await works.post() == (202, "job 1")
        assert works.started == 1


async def test_a_failure_frees_a_key_that_was_held_for_long(tmp_path: Path) -> None:
    async with works_in(tmp_path, renewed_every_sec=0.01) as works:
        works.go_on.clear()
        works.fails.append(Conflict("x"))
        first = asyncio.create_task(works.post())
        await works.under_way()
        await works.passes(29)
        works.go_on.set()
        assert await first == (409, "conflict")
        assert await works.post() == (202, "job 2")


async def test_an_answer_is_kept_for_a_day_from_its_last_renewal(tmp_path: Path) -> None:
    async with works_in(tmp_path, renewed_every_sec=0.01) as works:
        works.go_on.clear()
        first = asyncio.create_task(works.post())
        await works.under_way()
        for _ in range(2):
            await works.passes(24 * 3600 - 1)
        works.go_on.set()
        assert await first == (202, "job 1")
        assert await works.post() == (202, "job 1")


async def test_a_key_without_end_is_refused(tmp_path: Path) -> None:
    async with works_in(tmp_path) as works:
        assert await works.post(headers={**ADMIN_HEADERS, "idempotency-key": "k" * 256}) == (422, "invalid")
        assert await works.post(headers={**ADMIN_HEADERS, "idempotency-key": "k" * 255}) == (202, "job 1")
