"""Of an effect that is rows of the same database and its answer, neither is there without the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.responses import Response

from config.app import House, create_app
from config.auth import Caller, Requires, Scope
from config.clients import IF_BEGUN
from config.db_schema import EventRow
from config.idempotency import Keep
from tests.support.clock import ManualClock
from tests.support.eventually import eventually
from tests.support.house import ADMIN_HEADERS, client_of, house_in

KEYED = {**ADMIN_HEADERS, "idempotency-key": "k-1"}
ASKING = {**KEYED, IF_BEGUN: "1"}


class Made(BaseModel):
    number: int


@dataclass
class Works:
    """A service whose effects are rows, and that dies before or after it has made one."""

    house: House
    clock: ManualClock
    client: httpx.AsyncClient = field(init=False)
    at_work: int = 0
    dies: str = ""
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def make(self, keep: Keep) -> Made:
        self.at_work += 1
        await self.go_on.wait()
        self._die("before")
        made = await self.house.db.writing(self._write, keep)
        self._die("after")
        return made

    def _write(self, session: Session, keep: Keep) -> Made:
        self.house.journal.append(session, "thing.made", {})
        made = Made(number=self.at_work)
        keep(session, made)
        return made

    def _die(self, when: str) -> None:
        if self.dies == when:
            self.dies = ""
            raise asyncio.CancelledError

    async def post(self, headers: dict[str, str], path: str = "/things") -> tuple[int, int | str]:
        answer = await self.client.post(path, json={}, headers=headers)
        body = answer.json()
        return answer.status_code, body.get("code") or body["number"]

    async def made(self) -> int:
        """How many effects there are."""
        return await self.house.db.reading(_made)

    async def begin(self, path: str = "/things") -> asyncio.Task[tuple[int, int | str]]:
        """A request that is at work, and stays so until it may go on."""
        before = self.at_work
        self.go_on.clear()
        task = asyncio.create_task(self.post(KEYED, path))

        async def begun() -> int:
            return self.at_work

        await eventually(begun, lambda count: count > before)
        return task


def _made(session: Session) -> int:
    things = select(func.count()).select_from(EventRow).where(EventRow.type == "thing.made")
    return session.scalar(things) or 0


@pytest.fixture
async def works(tmp_path: Path) -> AsyncIterator[Works]:
    clock = ManualClock()
    house = house_in(tmp_path, "hermes", clock=clock)
    router = APIRouter()
    works = Works(house, clock)
    works.go_on.set()

    @router.post("/things")
    async def things(request: Request, caller: Caller = Depends(Requires(Scope.CHAT))) -> Response:
        return await house.idempotency.once_within(request, caller, 202, works.make)

    @router.post("/others")
    async def others(request: Request, caller: Caller = Depends(Requires(Scope.CHAT))) -> Response:
        return await house.idempotency.once(request, caller, 202, lambda: works.make(lambda _session, _made: None))

    async with client_of(create_app(house, [router])) as client:
        works.client = client
        yield works


async def test_without_a_key_each_request_is_its_own(works: Works) -> None:
    assert [await works.post(ADMIN_HEADERS) for _ in range(2)] == [(202, 1), (202, 2)]
    assert await works.made() == 2


async def test_the_same_key_makes_one_thing(works: Works) -> None:
    assert [await works.post(KEYED) for _ in range(3)] == [(202, 1)] * 3
    assert await works.made() == 1


@pytest.mark.parametrize(("dies", "again"), [("after", 1), ("before", 2)])
async def test_whoever_dies_beside_the_effect_has_made_it_once(works: Works, dies: str, again: int) -> None:
    works.dies = dies
    with pytest.raises(asyncio.CancelledError):
        await works.post(KEYED)
    works.clock.advance(3600)
    assert [await works.post(KEYED) for _ in range(2)] == [(202, again)] * 2
    assert await works.made() == 1


async def test_one_that_slept_through_its_claim_makes_nothing(works: Works) -> None:
    slow = await works.begin()
    works.clock.advance(30)
    second = await works.begin()
    works.go_on.set()
    assert [await slow, await second] == [(409, "conflict"), (202, 2)]
    assert await works.made() == 1


async def test_an_effect_apart_from_its_answer_is_told_of_though_the_claim_was_lost(works: Works) -> None:
    slow = await works.begin("/others")
    works.clock.advance(30)
    second = await works.begin("/others")
    works.go_on.set()
    assert [await slow, await second] == [(202, 2), (202, 2)]
    assert await works.made() == 2


async def test_asked_what_was_begun_it_begins_nothing(works: Works) -> None:
    await works.post(KEYED)
    assert await works.post(ASKING) == (202, 1)
    nothing = {**ASKING, "idempotency-key": "k-2"}
    assert [await works.post(nothing) for _ in range(2)] == [(404, "not_found")] * 2
    assert await works.made() == 1


async def test_a_request_that_comes_after_that_question_is_refused(works: Works) -> None:
    assert await works.post(ASKING) == (404, "not_found")
    assert await works.post(KEYED) == (409, "conflict")
    works.clock.advance(24 * 3600 + 1)
    assert await works.post(KEYED) == (202, 1)


async def test_a_request_that_is_at_work_when_the_question_comes_makes_nothing(works: Works) -> None:
    first = await works.begin()
    assert await works.post(ASKING) == (404, "not_found")
    works.go_on.set()
    assert await first == (409, "conflict")
    assert await works.made() == 0


async def test_an_effect_apart_from_its_answer_is_waited_for(works: Works) -> None:
    first = await works.begin("/others")
    assert await works.post(ASKING, "/others") == (409, "still_at_work")
    works.go_on.set()
    await first
    assert await works.post(ASKING, "/others") == (202, 1)


async def test_the_question_needs_a_key(works: Works) -> None:
    assert await works.post({**ADMIN_HEADERS, IF_BEGUN: "1"}) == (422, "invalid")
    assert await works.made() == 0
