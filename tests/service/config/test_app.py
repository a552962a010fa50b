"""What every service gets from `create_app`: vital signs, correlation, problems, limits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel
from sqlalchemy import select
from starlette.responses import StreamingResponse

from config import deadline
from config.app import House, create_app, every, task
from config.auth import Caller, Requires, Scope
from config.db_schema import EventRow
from config.errors import Conflict
from config.logs import correlation_id
from tests.support.eventually import eventually
from tests.support.house import ADMIN_HEADERS, client_of, house_in
from tests.support.server import served


class Body(BaseModel):
    number: int


def app_in(folder: Path) -> tuple[House, FastAPI]:
    house = house_in(folder, "madre")
    router = APIRouter()

    @router.post("/echo")
    async def echo(body: Body, caller: Caller = Depends(Requires(Scope.CHAT))) -> dict[str, object]:
        return {"number": body.number, "user": caller.user}

    @router.get("/conflict")
    async def conflict() -> None:
        raise Conflict("Two at once.", hint="Try again.", retry_after_sec=0.2)

    @router.get("/bug")
    async def bug() -> None:
        raise ZeroDivisionError("secret detail")

    return house, create_app(house, [router], max_body_mb=1)


async def test_health_and_readiness_need_no_token_and_metrics_do(tmp_path: Path) -> None:
    _, app = app_in(tmp_path)
    async with client_of(app, headers={"x-other": "1"}) as client:
        health = (await client.get("/health")).json()
        assert (health["status"], health["module"]) == ("ok", "madre")
        assert (await client.get("/ready")).json() == {"ready": True, "module": "madre"}
        assert (await client.get("/metrics")).status_code == 401
        assert "vx11_requests_total" in (await client.get("/metrics", headers=ADMIN_HEADERS)).text


async def test_no_token_wrong_token_good_token(tmp_path: Path) -> None:
    _, app = app_in(tmp_path)
    async with client_of(app, headers={"x-other": "1"}) as client:
        missing = await client.post("/echo", json={"number": 1})
        assert (missing.status_code, missing.json()["code"]) == (401, "auth_required")
        wrong = await client.post("/echo", json={"number": 1}, headers={"x-vx11-token": "vx11_wrong"})
        assert (wrong.status_code, wrong.json()["code"]) == (403, "forbidden")
        assert (await client.post("/echo", json={"number": 1}, headers=ADMIN_HEADERS)).json()["user"] == "admin"
        bearer = {"authorization": f"Bearer {ADMIN_HEADERS['x-vx11-token']}"}
        assert (await client.post("/echo", json={"number": 1}, headers=bearer)).status_code == 200


async def test_problems_have_one_shape(tmp_path: Path) -> None:
    _, app = app_in(tmp_path)
    async with client_of(app) as client:
        conflict = await client.get("/conflict", headers={"x-correlation-id": "c-1"})
        assert conflict.headers["content-type"] == "application/problem+json"
        assert conflict.headers["retry-after"] == "1"
        assert conflict.headers["x-correlation-id"] == "c-1"
        assert conflict.json() == {
            "type": "urn:vx11:problem:conflict",
            "title": "Conflict",
            "status": 409,
            "detail": "Two at once.",
            "code": "conflict",
            "correlation_id": "c-1",
            "hint": "Try again.",
        }
        invalid = await client.post("/echo", json={"number": "x"})
        assert (invalid.status_code, invalid.json()["errors"][0]["field"]) == (422, "number")
        malformed = await client.post("/echo", content=b"{", headers={"content-type": "application/json"})
        assert (malformed.status_code, malformed.json()["code"]) == (400, "bad_request")
        bug = await client.get("/bug")
        assert (bug.status_code, bug.json()["code"]) == (500, "internal")
        assert "secret" not in bug.text
        assert (await client.get("/nowhere")).json()["code"] == "not_found"
        assert (await client.put("/echo")).json()["code"] == "method_not_allowed"


async def test_large_bodies_are_refused_declared_or_not(tmp_path: Path) -> None:
    _, app = app_in(tmp_path)

    async def flood() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100_000

    async with client_of(app) as client:
        declared = await client.post("/echo", content=b"x" * (2**20 + 1))
        assert (declared.status_code, declared.json()["limit_bytes"]) == (413, 2**20)
        chunked = await client.post("/echo", content=flood(), headers={"content-type": "application/json"})
        assert (chunked.status_code, chunked.json()["code"]) == (413, "too_large")


async def test_a_strange_correlation_id_is_replaced(tmp_path: Path) -> None:
    _, app = app_in(tmp_path)
    async with client_of(app) as client:
        answer = await client.get("/health", headers={"x-correlation-id": "a b\tc" * 50})
        assert len(answer.headers["x-correlation-id"]) == 32


def counted(metrics: str, status: str) -> float:
    (line,) = [
        line for line in metrics.splitlines() if f'vx11_requests_total{{service="madre",status="{status}"}}' in line
    ]
    return float(line.rsplit(" ", 1)[1])


async def test_requests_are_counted_by_how_they_ended(tmp_path: Path) -> None:
    _, app = app_in(tmp_path)
    async with client_of(app) as client:
        for path in ("/openapi.json", "/conflict", "/nowhere", "/bug", "/health", "/ready"):
            await client.get(path)
        found = (await client.get("/metrics")).text
    assert [counted(found, status) for status in ("2xx", "4xx", "5xx")] == [1, 2, 1], "vital signs are not counted"
    assert 'vx11_answer_seconds_count{service="madre"} 4.0' in found
    assert 'vx11_requests_in_flight{service="madre"} 0.0' in found


async def test_a_bug_is_told_with_its_correlation_id_and_logged_with_its_trace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, app = app_in(tmp_path)
    async with client_of(app) as client:
        bug = await client.get("/bug", headers={"x-correlation-id": "c-9"})
    assert (bug.headers["x-correlation-id"], bug.json()["correlation_id"]) == ("c-9", "c-9")
    (record,) = [record for record in caplog.records if record.exc_info]
    assert "ZeroDivisionError" in caplog.text
    assert record.levelno == logging.ERROR


@pytest.mark.parametrize("given", ["c-1", "a.b:c_d-e", "x" * 64])
async def test_a_correlation_id_goes_in_and_out(tmp_path: Path, given: str) -> None:
    _, app = app_in(tmp_path)
    async with client_of(app) as client:
        for path in ("/health", "/conflict", "/nowhere", "/bug"):
            answer = await client.get(path, headers={"x-correlation-id": given})
            assert answer.headers.get_list("x-correlation-id") == [given]


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\tb", "a;drop", "ñ", "a\u00b2"])
async def test_what_is_no_correlation_id_is_replaced(tmp_path: Path, given: str) -> None:
    _, app = app_in(tmp_path)
    async with client_of(app) as client:
        answer = await client.get("/health", headers=[(b"x-correlation-id", given.encode("latin-1"))])
        assert len(answer.headers["x-correlation-id"]) == 32


async def test_the_correlation_id_reaches_rows(tmp_path: Path) -> None:
    house = house_in(tmp_path, "madre")
    router = APIRouter()

    @router.post("/tell")
    async def tell() -> None:
        await house.db.writing(house.journal.append, "told", {})

    async with client_of(create_app(house, [router])) as client:
        await client.post("/tell", headers={"x-correlation-id": "c-1"})
        with house.db.read() as session:
            assert session.scalars(select(EventRow.correlation_id)).all() == ["c-1"]


async def test_nothing_of_a_request_stays_behind(tmp_path: Path) -> None:
    _, app = app_in(tmp_path)
    before = correlation_id.set("outer")
    async with client_of(app) as client:
        await client.get("/health", headers={"x-correlation-id": "inner", "x-vx11-deadline-ms": "1"})
    assert correlation_id.get() == "outer"
    assert deadline.seconds_left() is None
    correlation_id.reset(before)


def noted(notes: list[str], name: str) -> Callable[[], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def running() -> AsyncIterator[None]:
        notes.append(f"{name} starts")
        try:
            yield
        finally:
            notes.append(f"{name} stops")

    return running


async def test_parts_start_in_order_and_stop_in_reverse_while_the_house_still_stands(tmp_path: Path) -> None:
    house, notes = house_in(tmp_path, "madre"), list[str]()

    @asynccontextmanager
    async def writer() -> AsyncIterator[None]:
        yield
        await house.db.writing(house.journal.append, "last words", {})
        notes.append(f"wrote, ready: {house.is_ready}")

    app = create_app(house, [], run=[noted(notes, "first"), noted(notes, "second"), writer])
    async with client_of(app) as client:
        assert notes == ["first starts", "second starts"]
        assert (await client.get("/ready")).status_code == 200
    assert notes[2:] == ["wrote, ready: False", "second stops", "first stops"]


async def test_a_part_that_cannot_start_takes_the_others_down_and_is_never_ready(tmp_path: Path) -> None:
    house, notes = house_in(tmp_path, "madre"), list[str]()

    def broken() -> AbstractAsyncContextManager[None]:
        raise LookupError

    app = create_app(house, [], run=[noted(notes, "first"), broken])
    with pytest.raises(LookupError):
        await app.router.lifespan_context(app).__aenter__()
    assert notes == ["first starts", "first stops"]
    assert not house.is_ready


async def test_before_it_has_started_a_service_is_alive_but_not_ready(tmp_path: Path) -> None:
    house, app = app_in(tmp_path)
    async with client_of(app) as client:
        house.is_ready = False
        assert (await client.get("/health")).status_code == 200
        ready = await client.get("/ready")
        assert (ready.status_code, ready.json()) == (503, {"ready": False, "module": "madre"})


async def test_checks_and_work_are_told(tmp_path: Path) -> None:
    house = house_in(tmp_path, "madre")
    well = {"driver": True}
    app = create_app(house, [], checks={"driver": lambda: well["driver"], "windows": lambda: 3})
    async with client_of(app) as client:
        with house.work.doing("plan"):
            health = (await client.get("/health")).json()
        assert health["checks"] == {"work_in_progress": 1, "driver": True, "windows": 3}
        assert health["status"] == "ok"
        well["driver"] = False
        assert (await client.get("/health")).json()["status"] == "degraded"


async def test_a_periodic_flow_outlives_its_failures(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ticks = 0

    async def flow() -> None:
        nonlocal ticks
        ticks += 1
        if ticks < 3:
            raise LookupError(f"tick {ticks}")

    async def count() -> int:
        return ticks

    async with every(0.001, flow, name="reconcile")():
        await eventually(count, lambda seen: seen > 5)
    assert caplog.text.count("periodic flow reconcile failed") == 2
    ended = ticks
    await asyncio.sleep(0.01)
    assert ticks == ended


async def test_a_task_that_dies_is_heard(caplog: pytest.LogCaptureFixture) -> None:
    async def die() -> None:
        raise LookupError("no more")

    async with task(die(), name="subscriber"):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert "subscriber" in caplog.text
    assert "no more" in caplog.text


def streaming_app(folder: Path) -> tuple[House, FastAPI, asyncio.Event, asyncio.Event]:
    """An app with an endless stream; the events say that it began to flow and that it was closed."""
    house, flowing, closed = house_in(folder, "madre"), asyncio.Event(), asyncio.Event()
    router = APIRouter()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 1000
                flowing.set()
                await asyncio.sleep(0.001)
        finally:
            closed.set()

    async def cut() -> AsyncIterator[bytes]:
        yield b"begin"
        raise LookupError("in the middle")

    @router.get("/endless")
    async def endless() -> StreamingResponse:
        return StreamingResponse(pieces())

    @router.get("/cut")
    async def cut_off() -> StreamingResponse:
        return StreamingResponse(cut())

    return house, create_app(house, [router]), flowing, closed


async def test_a_stream_flows_before_it_ends_and_stops_when_its_reader_goes(tmp_path: Path) -> None:
    house, app, flowing, closed = streaming_app(tmp_path)
    async with served(app) as url, aiohttp.ClientSession() as session:
        answer = await session.get(f"{url}/endless", headers={"x-correlation-id": "c-1"})
        assert answer.headers["x-correlation-id"] == "c-1"
        assert await answer.content.readexactly(1000) == b"x" * 1000
        assert flowing.is_set()
        answer.close()
        async with asyncio.timeout(10):
            await closed.wait()

        async def exposition() -> str:
            return house.metrics.exposition().decode()

        await eventually(exposition, lambda text: 'vx11_requests_in_flight{service="madre"} 0.0' in text)
        assert counted(await exposition(), "2xx") == 1


async def test_a_stream_that_breaks_is_cut_not_completed(tmp_path: Path) -> None:
    _, app, _, _ = streaming_app(tmp_path)
    async with served(app) as url, aiohttp.ClientSession() as session, session.get(f"{url}/cut") as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
