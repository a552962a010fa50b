"""A task that nobody wants any more leaves the line, and one that is being answered stops computing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from config.auth import Caller, Role
from config.db_schema import AuditLog, ModelUsageStat, SwitchQueueV2
from tests.service.switch.conftest import Room, switch_in
from tests.support.eventually import eventually

GOES_ON = {"holds": "let"}  # an answer that does not come to its end until the test lets it


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with switch_in(tmp_path, parallel_tasks=1) as made:
        made.plan("a", GOES_ON)
        yield made


async def put(room: Room, model: str = "a", **more: Any) -> str:
    body = {"prompt": "hi", "metadata": {"model": model}}
    ticket = await room.client.post("/switch/task", json=body, **more)
    assert ticket.status_code == 202, ticket.text
    return str(ticket.json()["task_queue_id"])


async def cancel(room: Room, task_id: str) -> dict[str, Any]:
    answer = await room.client.post(f"/switch/task/{task_id}/cancel")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def status(room: Room, task_id: str) -> str:
    return str((await room.client.get(f"/switch/task/{task_id}")).json()["status"])


async def finished(room: Room, task_id: str) -> str:
    return await eventually(lambda: status(room, task_id), lambda seen: seen not in ("QUEUED", "RUNNING"))


async def test_one_that_waits_is_never_begun(room: Room) -> None:
    first = await put(room)
    await room.logged("a", "request")
    second = await put(room)
    ended = await cancel(room, second)
    assert (ended["status"], ended["attempts"], ended["started_at"]) == ("CANCELLED", 0, None)
    assert ended["finished_at"] is not None
    third = await put(room)
    room.let("let")
    assert [await finished(room, one) for one in (first, second, third)] == ["DONE", "CANCELLED", "DONE"]
    assert len(room.log("a", "request")) == 2


async def test_one_that_is_being_answered_stops_computing_and_the_next_has_its_place(room: Room) -> None:
    first, second = await put(room), await put(room, "b")
    await room.logged("a", "request")
    assert (await cancel(room, first))["status"] == "CANCELLED"
    await room.logged("a", "gone")
    assert await finished(room, second) == "DONE"
    shown = (await room.client.get(f"/switch/task/{first}")).json()
    assert (shown["status"], shown["reply"], shown["error"]) == ("CANCELLED", None, None)
    assert {use.model for use in await room.kept(ModelUsageStat, 2)} == {"a", "b"}, "what it cost so far is on record"


async def test_one_whose_model_is_loading_waits_for_it_no_more(room: Room) -> None:
    room.plan("a", {"until": "loaded"})
    task = await put(room)
    await room.until("a", lambda model: bool(model["stage"] == "loading" and model["waiting"] == 1))
    await cancel(room, task)
    assert await finished(room, await put(room, "b")) == "DONE"
    room.let("loaded")
    await room.at_stage("a", "ready")
    assert room.log("a", "request") == []


async def test_one_that_is_over_stays_as_it_is(room: Room) -> None:
    task = await put(room, "b")
    assert await finished(room, task) == "DONE"
    ended = await cancel(room, task)
    assert (ended["status"], ended["reply"]) == ("DONE", "012")


async def test_said_again_it_changes_nothing(room: Room) -> None:
    task = await put(room)
    await room.logged("a", "request")
    first, second = await asyncio.gather(cancel(room, task), cancel(room, task))
    assert first == second == await cancel(room, task)
    assert await finished(room, await put(room, "b")) == "DONE", "whoever answers tasks goes on"


async def test_it_stays_cancelled_in_the_next_life(tmp_path: Path) -> None:
    async with switch_in(tmp_path) as room:
        room.plan("a", GOES_ON)
        task = await put(room)
        await room.logged("a", "request")
        await cancel(room, task)
    async with switch_in(tmp_path, again=True) as room:
        assert await finished(room, await put(room, "b")) == "DONE"
        assert (await status(room, task), len(room.log("a", "request"))) == ("CANCELLED", 1)


def signed(room: Room, user: str, role: Role) -> dict[str, Any]:
    return {"headers": {"x-vx11-token": room.house.auth.sign(Caller(user, role, "t"))}}


def acts(room: Room) -> list[tuple[str, str, str, dict[str, Any]]]:
    return [(row.user, row.action, row.target, row.detail) for row in room.rows(AuditLog)]


async def test_anothers_is_404_and_what_an_operator_ends_is_on_record(room: Room) -> None:
    ann, bob, boss = (signed(room, *who) for who in (("ann", Role.USER), ("bob", Role.USER), ("boss", Role.OPERATOR)))
    task = await put(room, **ann)
    path = f"/switch/task/{task}/cancel"
    assert (await room.client.post(path, **bob)).status_code == 404
    assert (await room.client.post("/switch/task/task-0/cancel", **ann)).status_code == 404
    assert (await room.client.get(f"/switch/task/{task}", **ann)).json()["status"] in ("QUEUED", "RUNNING")
    assert acts(room) == []
    assert (await room.client.post(path, **boss)).json()["status"] == "CANCELLED"
    over_anothers = {"owner": "ann", "override": True}
    assert acts(room) == [("boss", "task.cancel", task, over_anothers)]
    assert (await room.client.post(path, **boss)).status_code == 200
    assert acts(room)[1:] == [("boss", "task.read", task, over_anothers)], "nothing was ended, but it was shown"
    own = await put(room, **ann)
    assert (await room.client.post(f"/switch/task/{own}/cancel", **ann)).json()["status"] == "CANCELLED"
    assert len(room.rows(AuditLog)) == 2
    assert len(room.rows(SwitchQueueV2)) == 2


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.ADMIN, Role.SYSTEM])
async def test_who_looks_at_anothers_is_on_record(room: Room, role: Role) -> None:
    ann, bob, boss = signed(room, "ann", Role.USER), signed(room, "bob", Role.USER), signed(room, "boss", role)
    task = await put(room, "b", **ann)
    path = f"/switch/task/{task}"

    async def shown() -> dict[str, Any]:
        return dict((await room.client.get(path, **ann)).json())

    assert (await eventually(shown, lambda seen: seen["status"] == "DONE"))["reply"] == "012"
    assert (await room.client.get(path, **bob)).status_code == 404
    assert acts(room) == [], "one's own is nobody's business, and there was nothing to see for the other"
    assert (await room.client.get(path, **boss)).json()["reply"] == "012"
    assert acts(room) == [("boss", "task.read", task, {"owner": "ann", "override": True})]
    assert (await room.client.get("/switch/task/task-0", **boss)).status_code == 404
    assert len(acts(room)) == 1
