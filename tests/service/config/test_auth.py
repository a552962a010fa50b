"""Who may enter, as whom, for how long, and what they may do there."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx
import jwt
import pytest
from fastapi import APIRouter, Depends, FastAPI
from sqlalchemy import update

from config.app import House, create_app
from config.auth import Authority, Caller, Requires, Role, Scope, admin_token, new_token, sha256_of
from config.db_schema import ApiToken
from config.errors import Forbidden, RoleRequired
from config.settings import Settings
from tests.support import crowd
from tests.support.clock import ManualClock
from tests.support.house import ADMIN, client_of, house_in, settings_in

ANA = Caller("ana", Role.USER, "tok-1")
EVERYTHING = list(Scope)
HAS: dict[Role, set[Scope]] = {
    Role.USER: {
        Scope.CHAT,
        Scope.STATUS_READ,
        Scope.MODELS_READ,
        Scope.POWER_READ,
        Scope.JOBS_READ,
        Scope.JOBS_WRITE,
        Scope.PLANS_READ,
        Scope.PLANS_WRITE,
    },
    Role.OPERATOR: {
        Scope.EVENTS_READ,
        Scope.MODELS_WRITE,
        Scope.POWER_WRITE,
        Scope.JOBS_ALL,
        Scope.PLANS_ALL,
        Scope.AUTONOMY,
    },
    Role.ADMIN: {Scope.TOKENS_ADMIN, Scope.MAINTENANCE, Scope.CONVERSATIONS_ALL},
    Role.SYSTEM: {Scope.FLEET},
}


def issue(house: House, *, role: str = "user", expires_in: timedelta | None = None) -> str:
    """A token of `ana`, stored as the house stores them."""
    token, now = new_token(), house.clock.now()
    with house.db.write() as session:
        session.add(
            ApiToken(
                token_id=f"tok-{sha256_of(token)[:8]}",
                token_sha256=sha256_of(token),
                name="laptop",
                user="ana",
                role=role,
                created_at=now,
                expires_at=now + expires_in if expires_in else None,
                revoked_at=None,
                replaced_by=None,
            )
        )
    return token


@asynccontextmanager
async def house_and_client(folder: Path, **changes: Any) -> AsyncIterator[tuple[House, ManualClock, httpx.AsyncClient]]:
    clock = ManualClock()
    house = house_in(folder, "madre", clock=clock, **changes)
    router = APIRouter()

    @router.get("/who")
    async def who(caller: Caller = Depends(Requires(Scope.CHAT))) -> dict[str, str | None]:
        return {"user": caller.user, "role": caller.role, "service": caller.service}

    @router.get("/power")
    async def power(caller: Caller = Depends(Requires(Scope.POWER_WRITE))) -> str:
        return caller.user

    app: FastAPI = create_app(house, [router])
    async with client_of(app, headers={"x-other": "1"}) as client:
        yield house, clock, client


async def status_and_code(client: httpx.AsyncClient, token: str | None, path: str = "/who") -> tuple[int, str]:
    answer = await client.get(path, headers={"x-vx11-token": token} if token is not None else {})
    body = answer.json()
    return answer.status_code, body["code"] if answer.is_error else body["user"] if path == "/who" else body


async def test_no_wrong_good_and_too_low(tmp_path: Path) -> None:
    async with house_and_client(tmp_path) as (house, _, client):
        assert await status_and_code(client, None) == (401, "auth_required")
        assert await status_and_code(client, "") == (401, "auth_required")
        assert await status_and_code(client, new_token()) == (403, "forbidden")
        assert await status_and_code(client, ADMIN[:-1]) == (403, "forbidden")
        assert await status_and_code(client, issue(house)) == (200, "ana")
        assert await status_and_code(client, issue(house), "/power") == (403, "role_required")
        assert await status_and_code(client, issue(house, role="operator"), "/power") == (200, "ana")
        assert await status_and_code(client, ADMIN, "/power") == (200, "admin")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_bearer_means_the_same(tmp_path: Path, scheme: str) -> None:
    async with house_and_client(tmp_path) as (_, _, client):
        answer = await client.get("/who", headers={"authorization": f"{scheme} {ADMIN}"})
        assert answer.json()["user"] == "admin"


@pytest.mark.parametrize("value", ["Basic YTpi", "Bearer", "Bearer ", ADMIN])
async def test_another_kind_of_credential_is_none(tmp_path: Path, value: str) -> None:
    async with house_and_client(tmp_path) as (_, _, client):
        answer = await client.get("/who", headers={"authorization": value})
        assert (answer.status_code, answer.json()["code"]) == (401, "auth_required")


async def test_the_same_answer_for_wrong_expired_and_revoked(tmp_path: Path) -> None:
    async with house_and_client(tmp_path) as (house, clock, client):
        expiring, revoked = issue(house, expires_in=timedelta(seconds=60)), issue(house)
        assert await status_and_code(client, expiring) == (200, "ana")
        with house.db.write() as session:
            where = ApiToken.token_sha256 == sha256_of(revoked)
            session.execute(update(ApiToken).where(where).values(revoked_at=clock.now(), replaced_by="tok-next"))
        clock.advance(60)
        answers = [
            (await client.get("/who", headers={"x-vx11-token": token, "x-correlation-id": "c"})).json()
            for token in (new_token(), expiring, revoked)
        ]
        assert answers[0]["code"] == "forbidden"
        assert answers[0] == answers[1] == answers[2]


async def test_a_token_revoked_elsewhere_stops_within_a_second(tmp_path: Path) -> None:
    async with house_and_client(tmp_path) as (house, clock, client):
        token = issue(house)
        assert await status_and_code(client, token) == (200, "ana")
        with house.db.write() as session:
            session.execute(update(ApiToken).values(revoked_at=clock.now()))
        clock.advance(1)
        assert await status_and_code(client, token) == (403, "forbidden")


@pytest.mark.parametrize("token", ["with.dots.inside", "with a space", "eyJ.looks.signed", "~!@#$%^&*()", "short"])
async def test_the_admin_token_may_be_any_text_a_header_carries(tmp_path: Path, token: str) -> None:
    async with house_and_client(tmp_path, token=token) as (_, _, client):
        assert await status_and_code(client, token) == (200, "admin")
        bearer = await client.get("/who", headers={"authorization": f"Bearer {token}"})
        assert bearer.json()["user"] == "admin"


async def test_bytes_that_are_no_text_are_a_wrong_token(tmp_path: Path) -> None:
    async with house_and_client(tmp_path) as (_, _, client):
        answer = await client.get("/who", headers=[(b"x-vx11-token", b"\xff\xc3\xb1")])
        assert answer.json()["code"] == "forbidden"


async def test_the_open_paths_need_no_token(tmp_path: Path) -> None:
    async with house_and_client(tmp_path) as (_, _, client):
        for path in ("/health", "/ready", "/docs", "/openapi.json"):
            assert (await client.get(path)).status_code == 200, path
        for path in ("/metrics", "/who", "/power"):
            assert (await client.get(path)).status_code == 401, path


@pytest.mark.parametrize("scope", EVERYTHING, ids=str)
@pytest.mark.parametrize("role", list(Role), ids=str)
def test_each_role_may_what_it_and_those_below_may(role: Role, scope: Scope) -> None:
    roles = list(Role)
    allowed = set().union(*(HAS[lower] for lower in roles[: roles.index(role) + 1]))
    caller = Caller("ana", role, "tok-1")
    assert caller.may(scope) is (scope in allowed)
    if scope not in allowed:
        with pytest.raises(RoleRequired, match=scope.value):
            caller.require(scope)


def authority(folder: Path, service: str, clock: ManualClock) -> Authority:
    return house_in(folder, service, clock=clock).auth


async def test_a_service_speaks_for_its_caller_with_the_callers_rights(tmp_path: Path) -> None:
    clock = ManualClock()
    gateway, madre = authority(tmp_path, "tentaculo_link", clock), authority(tmp_path, "madre", clock)
    seen = await madre.identify(gateway.sign(ANA))
    assert seen == Caller("ana", Role.USER, "tok-1", service="tentaculo_link")
    assert not seen.may(Scope.POWER_WRITE)
    itself = await madre.identify(gateway.sign(Caller.of_service("tentaculo_link")))
    assert itself.may(Scope.FLEET)


async def test_a_service_token_lives_for_seconds(tmp_path: Path) -> None:
    clock = ManualClock()
    gateway, madre = authority(tmp_path, "tentaculo_link", clock), authority(tmp_path, "madre", clock)
    token = gateway.sign(ANA)
    clock.advance(59)
    assert (await madre.identify(token)).user == "ana"
    clock.advance(1)
    with pytest.raises(Forbidden):
        await madre.identify(token)


async def test_a_signed_token_is_used_again_only_while_it_is_fresh(tmp_path: Path) -> None:
    clock = ManualClock()
    gateway = authority(tmp_path, "tentaculo_link", clock)
    first = gateway.sign(ANA)
    assert gateway.sign(ANA) == first
    assert gateway.sign(Caller("eva", Role.USER, "tok-2")) != first
    clock.advance(31)
    assert gateway.sign(ANA) != first


@pytest.mark.parametrize("by", [3600, -3600])
async def test_whoever_sets_the_clock_makes_no_signed_token_too_old_or_too_young(tmp_path: Path, by: float) -> None:
    clock = ManualClock()
    gateway, madre = (authority(tmp_path, name, clock) for name in ("tentaculo_link", "madre"))
    first = gateway.sign(ANA)
    clock.set_by(by)
    second = gateway.sign(ANA)
    assert second != first
    assert (await madre.identify(second)).user == "ana"
    clock.advance(59)
    assert (await madre.identify(second)).user == "ana"
    clock.advance(1)
    with pytest.raises(Forbidden):
        await madre.identify(second)


def reclaimed(token: str, **claims: Any) -> str:
    """`token` with other claims under the old signature."""
    head, body, signature = token.split(".")
    padded = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    forged = base64.urlsafe_b64encode(json.dumps({**json.loads(padded), **claims}).encode()).rstrip(b"=")
    return f"{head}.{forged.decode()}.{signature}"


def signed_by(key: str, algorithm: str = "HS256", **claims: Any) -> Callable[[str], str]:
    given = {"iss": "madre", "sub": "ana", "role": "system", "tid": "t", "exp": 4_000_000_000, **claims}
    return lambda _: jwt.encode({k: v for k, v in given.items() if v is not None}, key, algorithm=algorithm)


@pytest.mark.parametrize(
    "forge",
    [
        lambda token: reclaimed(token, role="system"),
        lambda token: reclaimed(token, exp=4_000_000_000),
        lambda token: token[:-4] + "AAAA",
        lambda token: token.rsplit(".", 1)[0] + ".",
        lambda token: token.rsplit(".", 1)[0],
        signed_by("0" * 64),
        signed_by("", algorithm="none"),
    ],
    ids=["role", "expiry", "signature", "no signature", "two parts", "another key", "no algorithm"],
)
async def test_a_forged_service_token_is_refused(tmp_path: Path, forge: Callable[[str], str]) -> None:
    clock = ManualClock()
    gateway, madre = authority(tmp_path, "tentaculo_link", clock), authority(tmp_path, "madre", clock)
    with pytest.raises(Forbidden):
        await madre.identify(forge(gateway.sign(ANA)))


@pytest.mark.parametrize("gone", ["iss", "sub", "role", "tid", "exp"])
async def test_a_service_token_without_a_claim_is_refused(tmp_path: Path, gone: str) -> None:
    madre = authority(tmp_path, "madre", ManualClock())
    key = (settings_in(tmp_path).runtime_path / "service.key").read_text().strip()
    assert (await madre.identify(signed_by(key)(""))).role is Role.SYSTEM
    without: dict[str, Any] = {gone: None}
    with pytest.raises(Forbidden):
        await madre.identify(signed_by(key, **without)(""))


async def test_an_unknown_role_is_refused(tmp_path: Path) -> None:
    madre = authority(tmp_path, "madre", ManualClock())
    key = (settings_in(tmp_path).runtime_path / "service.key").read_text().strip()
    with pytest.raises(Forbidden):
        await madre.identify(signed_by(key, role="god")(""))


def test_two_processes_at_their_first_start_agree_on_one_admin_token(tmp_path: Path) -> None:
    made = crowd.crowd(crowd.make_admin_token, *[(str(tmp_path / "data"),)] * 4)
    assert len(set(made)) == 1
    file = tmp_path / "data" / "runtime" / "admin.token"
    assert file.read_text().strip() == made[0]
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in file.parent.iterdir()] == ["admin.token"]


def test_services_that_share_a_process_id_agree_too(tmp_path: Path) -> None:
    """In containers, each with its own process ids, all of them may be number 7."""
    settings = Settings(data_path=tmp_path)
    starts_together = Barrier(8)

    def first_start(_: int) -> str:
        starts_together.wait()
        return admin_token(settings)

    with ThreadPoolExecutor(8) as services:
        assert len(set(services.map(first_start, range(8)))) == 1
    assert [path.name for path in settings.runtime_path.iterdir()] == ["admin.token"]


def test_the_admin_token_stays_the_same_and_the_setting_wins(tmp_path: Path) -> None:
    made = admin_token(Settings(data_path=tmp_path))
    assert admin_token(Settings(data_path=tmp_path)) == made
    assert made.startswith("vx11_")
    assert len(made) == len("vx11_") + 43
    assert admin_token(settings_in(tmp_path)) == ADMIN


async def test_a_seal_is_for_one_purpose_and_the_same_in_every_service(tmp_path: Path) -> None:
    clock = ManualClock()
    madre, other = authority(tmp_path, "madre", clock), authority(tmp_path, "switch", clock)
    assert madre.seal("plans", b"this") == other.seal("plans", b"this")
    assert len({madre.seal("plans", b"this"), madre.seal("plans", b"that"), madre.seal("tasks", b"this")}) == 3
    elsewhere = authority(tmp_path / "elsewhere", "madre", clock)
    assert elsewhere.seal("plans", b"this") != madre.seal("plans", b"this")
