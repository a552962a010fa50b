"""What every service gets from `create_app`: vital signs, correlation, problems, limits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel

from config.app import House, create_app
from config.auth import Caller, Requires, Scope
from config.errors import Conflict
from tests.support.house import ADMIN_HEADERS, client_of, house_in


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


async def test_vital_signs_need_no_token(tmp_path: Path) -> None:
    _, app = app_in(tmp_path)
    async with client_of(app, headers={"x-other": "1"}) as client:
        health = (await client.get("/health")).json()
        assert (health["status"], health["module"]) == ("ok", "madre")
        assert (await client.get("/ready")).json() == {"ready": True, "module": "madre"}
        assert "vx11_requests_total" in (await client.get("/metrics")).text


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
