"""`POST /vx11/spawn`: the door wakes spawner and asks it on its caller's behalf."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from tentaculo_link.app import create
from tentaculo_link.paths import owner_of
from tests.support.house import client_of, house_in

MOMENT = "2026-11-21T12:00:00Z"


@dataclass
class Peers:
    """Madre and spawner, as far as the door needs them."""

    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    callers: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else {}
        self.asked.append((request.url.path, body))
        self.keys.append(request.headers.get("idempotency-key"))
        self.callers.append(jwt.decode(request.headers["x-vx11-token"], options={"verify_signature": False}))
        if request.url.path == "/madre/power/wake":
            return httpx.Response(200, json={"service": body["service"], "state": "ready", "lease_sec": 60})
        spawned: dict[str, Any] = {
            "spawn_id": "spawn-0123abcd", "spawn_uuid": "u", "correlation_id": body["trace_id"] or "made",
            "status": "PENDING", "daughter_id": "d", "attempt_id": "a", "name": "n", "expires_at": MOMENT,
            "subtasks": [], "isolation": "sandlock",
        }  # fmt: skip
        return httpx.Response(202, json=spawned)


async def test_a_task_is_spawned_through_the_door(tmp_path: Path) -> None:
    peers = Peers()
    house = house_in(tmp_path, "tentaculo_link", transport=httpx.MockTransport(peers))
    async with client_of(create(house)) as client:
        wish = {"task_type": "python", "code": "print(1)", "correlation_id": "c-7"}
        answers = [await client.post("/vx11/spawn", json=wish, headers={"idempotency-key": "k"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    expected = {"spawn_id": "spawn-0123abcd", "spawn_uuid": "u", "correlation_id": "c-7", "status": "PENDING"}
    assert [answer.json() for answer in answers] == [expected, expected]
    assert [path for path, _ in peers.asked] == ["/madre/power/wake", "/spawner/spawn"]
    assert peers.keys[1] == "k", "so that spawner knows it, should the door die before it has kept the answer"
    order = peers.asked[1][1]
    assert {name: order[name] for name in ("task_type", "code", "ttl_seconds", "max_retries", "trace_id")} == {
        "task_type": "python", "code": "print(1)", "ttl_seconds": 3600, "max_retries": 0, "trace_id": "c-7",
    }  # fmt: skip
    assert (peers.callers[1]["sub"], peers.callers[1]["role"], peers.callers[1]["iss"]) == (
        "admin",
        "admin",
        "tentaculo_link",
    )


@pytest.mark.parametrize(
    "wish",
    [
        {"code": "x"},
        {"task_type": "ruby", "code": "x"},
        {"task_type": "python", "code": ""},
        {"task_type": "python", "code": "x", "ttl_seconds": 0},
        {"task_type": "python", "code": "x", "ttl_seconds": 86_401},
        {"task_type": "python", "code": "x", "max_retries": 11},
        {"task_type": "python", "code": "x", "cmd": "y"},
    ],
)
async def test_a_wish_that_makes_no_sense_wakes_nobody(tmp_path: Path, wish: dict[str, Any]) -> None:
    peers = Peers()
    house = house_in(tmp_path, "tentaculo_link", transport=httpx.MockTransport(peers))
    async with client_of(create(house)) as client:
        assert (await client.post("/vx11/spawn", json=wish)).status_code == 422
    assert peers.asked == []


def test_the_short_path_is_spawners_too() -> None:
    assert owner_of("/spawn") == owner_of("/spawner/jobs") == "spawner"
