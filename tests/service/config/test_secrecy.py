"""A sweep: whatever a token goes through, it is found nowhere afterwards."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from config import audit
from config.app import House, create_app
from config.auth import Caller, Requires, Scope, new_token
from config.db_schema import Base
from config.errors import Conflict
from config.logs import redacted
from tests.support import databases
from tests.support.house import client_of, house_in

CHOSEN = "only-I-know-this-1"


class Body(BaseModel):
    number: int


def careless_app(folder: Path) -> tuple[House, FastAPI]:
    """An app whose routes put the token wherever a careless hand might."""
    house = house_in(folder, "madre", token=CHOSEN)
    router = APIRouter()

    @router.post("/careless/{path:path}")
    async def careless(request: Request, body: Body, caller: Caller = Depends(Requires(Scope.CHAT))) -> None:
        headers = dict(request.headers)
        logging.getLogger("room").warning("headers %s, body %s", headers, body)

        def keep(session: Session) -> None:
            house.journal.append(session, "careless", {"headers": headers, "path": str(request.url)})
            audit.append(session, caller, "careless", "x", headers, now=house.clock.now(), service="madre")

        await house.db.writing(keep)
        raise Conflict(f"With {headers} at {request.url.path}.", hint=str(headers), extra={"headers": headers})

    @router.get("/bug")
    async def bug(request: Request) -> None:
        raise LookupError(str(request.headers))

    return house, create_app(house, [router])


def everything_kept(folder: Path) -> bytes:
    """Every byte of every file of the database; every row of every table where the files are a server's."""
    if databases.on_postgres():
        with databases.database_in(folder).read() as session:
            tables = Base.metadata.sorted_tables
            return repr([session.execute(select(table)).all() for table in tables]).encode()
    return b"".join(path.read_bytes() for path in (folder / "data" / "runtime").glob("vx11.db*"))


@pytest.mark.parametrize("kind", ["the chosen admin token", "a wrong token", "a service token"])
async def test_no_token_is_found_anywhere(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    house, app = careless_app(tmp_path)
    signed = house.auth.sign(Caller.of_service("switch"))
    secret = {"the chosen admin token": CHOSEN, "a wrong token": new_token(), "a service token": signed}[kind]
    answers = []
    async with client_of(app, headers={"x-other": "1"}) as client:
        for headers in ({"x-vx11-token": secret}, {"authorization": f"Bearer {secret}"}):
            answers += [
                await client.post("/careless/x", json={"number": 1}, headers=headers),
                await client.post("/careless/x", json={"number": "x"}, headers=headers),
                await client.post("/careless/x", content=b"{", headers=headers),
                await client.post(f"/careless/{secret}", json={"number": 1}, headers=headers),
                await client.get(f"/nowhere/{secret}", headers=headers),
                await client.get("/bug", headers=headers),
            ]
        metrics = (await client.get("/metrics", headers={"x-vx11-token": CHOSEN})).text
        kept = everything_kept(tmp_path)
    assert {answer.status_code for answer in answers} >= {404, 500}
    told = "\n".join(f"{answer.text} {answer.headers}" for answer in answers)
    for place, text in {"answers": told, "metrics": metrics, "log": redacted(caplog.text)}.items():
        assert secret not in text, place
    assert secret.encode() not in kept
    assert (b"careless" in kept) == (kind != "a wrong token"), "what is looked through is not what was kept"
