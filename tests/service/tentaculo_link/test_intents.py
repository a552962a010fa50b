"""Intents at the door: madre herself behind it, a spawner that is scripted, each caller with their own rights."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.app import House
from config.auth import Caller
from config.contracts.asking import DoorIntent, is_daughter
from config.services import FLEET
from tentaculo_link.app import create
from tentaculo_link.intents import passed_on
from tests.support.house import client_of, house_in
from tests.support.speech import ANA, EVA, OLGA, SpokenTo, spoken_to

WHEN = "2026-11-21T12:00:00.000Z"
JOB: dict[str, Any] = {
    "spawn_id": "spawn-0123abcd",
    "spawn_uuid": "u",
    "name": "n",
    "user": "ana",
    "task_type": "python",
    "intent": "",
    "status": "DONE",
    "phase": "ended",
    "parent_task_id": None,
    "root_task_id": "spawn-0123abcd",
    "depth": 0,
    "tries": 1,
    "max_retries": 0,
    "auto_retry": True,
    "ttl_seconds": 60,
    "dry_run": False,
    "network": False,
    "workspace": None,
    "isolation": "landlock",
    "progress": None,
    "correlation_id": "c-9",
    "created_at": WHEN,
    "expires_at": WHEN,
    "not_before": None,
    "started_at": WHEN,
    "finished_at": WHEN,
    "exit_code": 0,
    "error": None,
    "code": "print(42)",
    "metadata": {},
    "tool_allowlist": [],
    "daughters": [],
    "attempts": [],
    "ancestors": [],
    "subtasks": [],
    "children": [],
    "changed_files": None,
    "result": None,
    "output_tail": "42\n",
}


@dataclass
class Behind(httpx.AsyncBaseTransport):
    """What the door reaches: madre by her port, and a spawner with one job."""

    madre: httpx.ASGITransport
    job: dict[str, Any] = field(default_factory=lambda: dict(JOB))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass it on to whoever has the port."""
        if request.url.port == FLEET["spawner"].port:
            return httpx.Response(200, json=self.job)
        return await self.madre.handle_async_request(request)


@dataclass
class Door:
    """The door, and who is behind it."""

    house: House
    client: httpx.AsyncClient
    madre: SpokenTo
    behind: Behind

    async def call(self, method: str, path: str, caller: Caller = OLGA, **given: Any) -> httpx.Response:
        """A request of `caller`, with headers of its own if given."""
        headers = {"x-vx11-token": self.house.auth.sign(caller), **given.pop("headers", {})}
        return await self.client.request(method, path, headers=headers, **given)


@asynccontextmanager
async def door_before(folder: Path, **madre: Any) -> AsyncIterator[Door]:
    async with spoken_to(folder, **madre) as spoken:
        behind = Behind(httpx.ASGITransport(app=spoken.app, raise_app_exceptions=False))
        house = house_in(folder, "tentaculo_link", clock=spoken.clock, transport=behind)
        async with client_of(create(house)) as client:
            yield Door(house, client, spoken, behind)


async def test_a_sentence_is_answered_under_its_correlation_id(tmp_path: Path) -> None:
    async with door_before(tmp_path) as door:
        body = {"intent_type": "chat", "text": "hello", "correlation_id": "mine-1", "priority": "P0"}
        answer = (await door.call("POST", "/vx11/intent", ANA, json=body)).json()
        contract = ("correlation_id", "status", "mode", "provider", "response", "plan_id", "degraded", "error")
        assert {name: answer[name] for name in contract} == {
            "correlation_id": "mine-1",
            "status": "DONE",
            "mode": "SWITCH",
            "provider": "local",
            "response": "Hello.",
            "plan_id": None,
            "degraded": False,
            "error": None,
        }
        assert answer["timestamp"] == WHEN
        later = (await door.call("GET", "/vx11/result/mine-1", ANA)).json()
        assert (later["status"], later["response"]) == ("DONE", "Hello.")


async def test_without_a_correlation_id_the_requests_own_is_it(tmp_path: Path) -> None:
    async with door_before(tmp_path) as door:
        headers = {"x-correlation-id": "from-the-header"}
        answer = await door.call("POST", "/vx11/intent", ANA, json={"text": "hello"}, headers=headers)
        assert answer.json()["correlation_id"] == "from-the-header"
        assert (await door.call("GET", "/vx11/result/from-the-header", ANA)).status_code == 200


async def test_rights_are_the_callers_and_results_their_own(tmp_path: Path) -> None:
    async with door_before(tmp_path) as door:
        body = {"intent_type": "exec", "correlation_id": "x-1", "payload": {"action": "power.open_window"}}
        body["payload"]["arguments"] = {"services": ["switch"]}  # type: ignore[index]
        refused = (await door.call("POST", "/vx11/intent", ANA, json=body)).json()
        assert (refused["status"], refused["error"]["code"]) == ("ERROR", "role_required")
        done = (await door.call("POST", "/vx11/intent", OLGA, json=body)).json()
        assert done["status"] == "DONE"
        assert (await door.call("GET", "/vx11/result/x-1", OLGA)).json()["plan_id"] == done["plan_id"]
        assert (await door.call("GET", "/vx11/result/x-1", ANA)).json()["status"] == "ERROR"
        lost = await door.call("GET", "/vx11/result/x-1", EVA)
        assert (lost.status_code, lost.json()["code"]) == (404, "not_found")


async def test_degraded_travels_through_the_door(tmp_path: Path) -> None:
    async with door_before(tmp_path, power={"wake": "manual"}) as door:
        answer = (await door.call("POST", "/vx11/intent", ANA, json={"text": "hello"})).json()
        assert (answer["degraded"], answer["response"], answer["mode"]) == (True, None, "FALLBACK")
        assert answer["error"]["code"] == "off_by_policy"


@pytest.mark.parametrize(
    ("job", "status", "code"),
    [
        ({}, "DONE", None),
        ({"status": "PENDING", "finished_at": None}, "QUEUED", None),
        ({"status": "KILLED", "error": "killed by ana"}, "ERROR", "killed"),
        ({"status": "EXPIRED"}, "ERROR", "expired"),
    ],
)
async def test_a_daughter_is_shown_as_she_stands(
    tmp_path: Path, job: dict[str, Any], status: str, code: str | None
) -> None:
    async with door_before(tmp_path) as door:
        door.behind.job.update(job)
        shown = (await door.call("GET", "/vx11/result/spawn-0123abcd", ANA)).json()
        assert (shown["status"], shown["mode"], shown["correlation_id"]) == (status, "SPAWNER", "c-9")
        assert (shown["error"] or {}).get("code") == code
        assert (shown["response"], shown["result"]["exit_code"]) == ("42\n", 0)


async def test_once_per_key(tmp_path: Path) -> None:
    async with door_before(tmp_path) as door:
        key = {"idempotency-key": "k"}
        first = await door.call("POST", "/vx11/intent", ANA, json={"text": "hello"}, headers=key)
        again = await door.call("POST", "/vx11/intent", ANA, json={"text": "hello"}, headers=key)
        assert first.json() == again.json()
        assert len(door.madre.driver.heard) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": ""},
        {"text": "x", "intent_type": "dance"},
        {"text": "x", "priority": "P9"},
        {"text": "x", "correlation_id": "a b"},
        {"text": "x", "correlation_id": "spawn-0123abcd"},
        {"text": "x", "payload": {"much": "x" * 262_144}},
        {"text": "x", "require": {"switch": "perhaps"}},
    ],
)
async def test_what_is_no_intent_is_422(tmp_path: Path, body: dict[str, Any]) -> None:
    async with door_before(tmp_path) as door:
        refused = await door.call("POST", "/vx11/intent", ANA, json=body)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid")


def test_whatever_the_door_takes_it_can_pass_on() -> None:
    full = {f"k{number}": "x" for number in range(64)}
    wish = DoorIntent(text="x", payload=full, metadata={**dict(list(full.items())[:63]), "session_id": "c"})
    order = passed_on(wish, "tentaculo_link")
    assert order.payload["session_id"] == "c"
    assert order.payload["text"] == "x"
    assert order.source == "tentaculo_link"


def test_daughters_and_correlation_ids_are_told_apart() -> None:
    assert is_daughter("spawn-0123abcd")
    assert not any(map(is_daughter, ("spawn-0123abcdef", "spawn-XYZ", "c-1", "xspawn-0123abcd")))
