"""Tokens over the API: shown once, stored hashed, ended at once, and every act in the audit chain."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from config import audit
from config.app import House
from config.db_schema import ApiToken, AuditLog
from tentaculo_link.app import create
from tests.support.clock import ManualClock
from tests.support.house import client_of, house_in


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def house(tmp_path: Path, clock: ManualClock) -> House:
    return house_in(tmp_path, "tentaculo_link", clock=clock)


async def test_a_token_is_shown_once_and_stored_hashed(house: House) -> None:
    async with client_of(create(house)) as client:
        made = (await client.post("/auth/tokens", json={"user": "ana", "role": "operator", "name": "laptop"})).json()
        assert made["token"].startswith("vx11_")
        listed = (await client.get("/auth/tokens")).json()["items"]
        assert [entry["token_id"] for entry in listed] == [made["token_id"]]
        assert "token" not in listed[0]
    with house.db.read() as session:
        everything = str(session.execute(text("SELECT * FROM api_tokens")).all())
        assert made["token"] not in everything
        assert [row.action for row in session.scalars(select(AuditLog))] == ["token.created"]
        assert audit.verify(session).is_intact


async def test_a_token_opens_what_its_role_may_do(house: House) -> None:
    async with client_of(create(house)) as client:
        made = (await client.post("/auth/tokens", json={"user": "ana"})).json()
        ana = {"x-vx11-token": made["token"]}
        assert (await client.get("/vx11/status", headers=ana)).status_code == 200
        refused = await client.get("/auth/tokens", headers=ana)
        assert (refused.status_code, refused.json()["code"]) == (403, "role_required")


async def test_a_revoked_token_is_refused_and_revoking_twice_is_the_same(house: House, clock: ManualClock) -> None:
    async with client_of(create(house)) as client:
        made = (await client.post("/auth/tokens", json={"user": "ana"})).json()
        ana = {"x-vx11-token": made["token"]}
        await client.get("/vx11/status", headers=ana)
        first = (await client.delete(f"/auth/tokens/{made['token_id']}")).json()
        clock.advance(2)
        assert (await client.delete(f"/auth/tokens/{made['token_id']}")).json() == first
        refused = await client.get("/vx11/status", headers=ana)
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def test_an_expired_token_is_refused(house: House, clock: ManualClock) -> None:
    async with client_of(create(house)) as client:
        made = (await client.post("/auth/tokens", json={"user": "ana", "expires_in_sec": 60})).json()
        ana = {"x-vx11-token": made["token"]}
        clock.advance(59)
        assert (await client.get("/vx11/status", headers=ana)).status_code == 200
        clock.advance(2)
        assert (await client.get("/vx11/status", headers=ana)).status_code == 403


async def test_a_rotated_token_passes_on_holder_and_length_of_life(house: House, clock: ManualClock) -> None:
    async with client_of(create(house)) as client:
        wish = {"user": "ana", "role": "operator", "expires_in_sec": 3600}
        old = (await client.post("/auth/tokens", json=wish)).json()
        clock.advance(600)
        new = (await client.post(f"/auth/tokens/{old['token_id']}/rotate")).json()
        assert (new["user"], new["role"]) == ("ana", "operator")
        assert (await client.get("/vx11/status", headers={"x-vx11-token": new["token"]})).status_code == 200
        assert (await client.get("/vx11/status", headers={"x-vx11-token": old["token"]})).status_code == 403
        again = await client.post(f"/auth/tokens/{old['token_id']}/rotate")
        assert (again.status_code, again.json()["code"]) == (409, "conflict")
    with house.db.read() as session:
        row = session.get(ApiToken, new["token_id"])
        assert row is not None
        assert row.expires_at == clock.now() + timedelta(seconds=3600)


async def test_lists_are_paged_newest_first(house: House, clock: ManualClock) -> None:
    async with client_of(create(house)) as client:
        made = []
        for number in range(5):
            clock.advance(number % 2)  # some at the same moment
            made.append((await client.post("/auth/tokens", json={"user": f"u{number}"})).json()["token_id"])
        seen: list[str] = []
        cursor = None
        while True:
            params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
            page = (await client.get("/auth/tokens", params=params)).json()
            seen += [entry["token_id"] for entry in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert sorted(seen) == sorted(made)
        assert len(seen) == len(set(seen)) == 5
        assert (await client.get("/auth/tokens", params={"cursor": "nonsense"})).status_code == 422


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"user": ""},
        {"user": "a", "role": "system"},
        {"user": "a", "role": "king"},
        {"user": "a\x00b"},
        {"user": "a", "expires_in_sec": 1},
        {"user": "a", "expires_in_sec": "soon"},
        {"user": "a", "rolle": "user"},
        {"user": "a" * 200},
        [],
        "x",
    ],
)
async def test_wrong_wishes_are_422(house: House, wish: object) -> None:
    async with client_of(create(house)) as client:
        answer = await client.post("/auth/tokens", json=wish)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
        assert answer.json()["errors"]


async def test_unknown_tokens_are_404(house: House) -> None:
    async with client_of(create(house)) as client:
        assert (await client.delete("/auth/tokens/tok-none")).status_code == 404
        assert (await client.post("/auth/tokens/tok-none/rotate")).status_code == 404


async def test_a_token_over_its_rate_waits(tmp_path: Path, clock: ManualClock) -> None:
    gateway = {"rate_per_sec": 1, "rate_burst": 2}
    house = house_in(tmp_path, "tentaculo_link", clock=clock, gateway=gateway)
    async with client_of(create(house)) as client:
        assert [(await client.get("/auth/tokens")).status_code for _ in range(3)] == [200, 200, 429]
        refused = await client.get("/auth/tokens")
        assert (refused.json()["code"], refused.headers["retry-after"]) == ("rate_limited", "1")
        clock.advance(1)
        assert (await client.get("/auth/tokens")).status_code == 200
