"""Who is in memory: turns under a small budget, sleep, unloading, and nothing left behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.service.switch.conftest import MODEL_MB, Room, add_model, asking, gone, switch_in
from tests.support.clock import ManualClock

ROOM_FOR_ONE = MODEL_MB + MODEL_MB // 2


async def test_two_models_take_turns_where_there_is_room_for_one(tmp_path: Path) -> None:
    async with switch_in(tmp_path, budget_mb=ROOM_FOR_ONE) as room:
        for name in ("a", "b", "a"):
            assert (await room.complete(name)).status_code == 200
            ledger = (await room.client.get("/switch/models")).json()
            assert (ledger["budget_mb"], ledger["reserved_mb"]) == (ROOM_FOR_ONE, MODEL_MB)
        assert (room.starts("a"), room.starts("b")) == (2, 1)
        assert [event["why"] for event in room.events("model.unloaded")] == ["memory needed"] * 2


async def test_a_busy_model_is_not_stopped_and_newcomers_do_not_keep_it_for_ever(tmp_path: Path) -> None:
    async with switch_in(tmp_path, budget_mb=ROOM_FOR_ONE, clock=ManualClock()) as room:
        room.plan("a", {"holds": "more"}, {})
        first = asking(room, "a", stream=True)
        await room.logged("a", "request")
        other = asking(room, "b")
        await room.until("b", lambda model: model["waiting"] == 1)
        newcomer = asking(room, "a")
        busy = await room.until("a", lambda model: model["waiting"] == 1)
        assert (busy["stage"], busy["in_use"], room.starts("b")) == ("ready", 1, 0)
        room.let("more")
        assert "[DONE]" in (await first).text
        assert [(await request).status_code for request in (other, newcomer)] == [200, 200]
        assert (room.starts("a"), room.starts("b")) == (2, 1)


async def test_what_belonged_to_a_worker_goes_with_it(tmp_path: Path) -> None:
    async with switch_in(tmp_path, budget_mb=ROOM_FOR_ONE) as room:
        for name in "abab":
            await room.complete(name)
        assert len(room.house.clients._sessions) == 1
        [socket] = Path(room.log("b", "start")[-1]["spec"]["socket_path"]).parent.iterdir()
        assert str(socket) == room.log("b", "start")[-1]["spec"]["socket_path"]


async def test_many_requests_for_more_models_than_fit_are_all_served(tmp_path: Path) -> None:
    async with switch_in(tmp_path, budget_mb=ROOM_FOR_ONE) as room:
        answers = await asyncio.gather(*(room.complete("abc"[number % 3]) for number in range(30)))
        assert {answer.status_code for answer in answers} == {200}


async def test_a_model_larger_than_the_budget_is_refused_with_the_arithmetic(room: Room) -> None:
    add_model(room.house, "huge", need_mb=5_000)
    answer = await room.complete("huge")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert "5000 MiB" in answer.json()["detail"]
    assert "1000 MiB" in answer.json()["detail"]
    assert "VX11_MODEL_MEMORY_MB" in answer.json()["hint"]


async def test_an_idle_model_goes_to_sleep_and_a_busy_one_does_not(tmp_path: Path) -> None:
    clock = ManualClock()
    async with switch_in(tmp_path, clock=clock, model_ttl_sec=300) as room:
        room.plan("b", {"holds": "more"})
        await room.complete("a")
        busy = asking(room, "b", stream=True)
        await room.logged("b", "request")
        clock.advance(299)
        assert (await room.model("a"))["stage"] == "ready"
        clock.advance(1)
        assert (await room.at_stage("a", "asleep"))["reserved_mb"] == 0
        assert (await room.model("b"))["stage"] == "ready"
        assert room.events("model.unloaded") == [{"model": "a", "why": "idle"}]
        room.let("more")
        assert "[DONE]" in (await busy).text


async def test_unloading_takes_an_idle_model_and_leaves_a_busy_one(room: Room) -> None:
    room.plan("a", {"holds": "more"})
    busy = asking(room, "a", stream=True)
    await room.logged("a", "request")
    refused = await room.client.post("/switch/models/a/unload")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    room.let("more")
    await busy
    stopping = await room.client.post("/switch/models/a/unload")
    assert stopping.status_code == 200
    assert stopping.json()["stage"] in ("stopping", "asleep"), "it may be gone before it is told of"
    await room.at_stage("a", "asleep")
    [start] = room.log("a", "start")
    await gone(start["pid"])
    again = await room.client.post("/switch/models/a/unload")
    assert (again.status_code, again.json()["stage"]) == (200, "asleep")


async def test_a_model_disabled_while_it_is_in_memory_can_be_unloaded(room: Room) -> None:
    await room.complete("a")
    room.change("a", enabled=False)
    assert (await room.model("a"))["stage"] == "ready"
    assert (await room.client.post("/switch/models/a/unload")).status_code == 200
    assert (await room.client.post("/switch/models/nobody/unload")).status_code == 404


async def test_a_worker_that_will_not_leave_is_made_to(room: Room) -> None:
    room.plan("a", {"stays": True})
    await room.complete("a")
    await room.client.post("/switch/models/a/unload")
    await room.at_stage("a", "asleep")
    assert room.log("a", "asked to leave")
    [start] = room.log("a", "start")
    await gone(start["pid"])


async def test_no_worker_outlives_the_service(tmp_path: Path) -> None:
    async with switch_in(tmp_path) as room:
        room.plan("b", {"stays": True})
        room.plan("c", {"load": "never"})
        await room.complete("a")
        await room.complete("b")
        loading = asking(room, "c")
        await room.until("c", lambda model: model["progress"] == 0.5)
        pids = [entry["pid"] for name in "abc" for entry in room.log(name, "start")]
        sockets = Path(room.log("a", "start")[0]["spec"]["socket_path"]).parent
        loading.cancel()
    assert len(pids) == 3
    for pid in pids:
        await gone(pid)
    assert not sockets.exists()


async def test_health_counts_the_models_in_memory_and_the_work(room: Room) -> None:
    room.plan("a", {"holds": "more"})
    busy = asking(room, "a", stream=True)
    await room.logged("a", "request")
    checks = (await room.client.get("/health")).json()["checks"]
    assert checks == {"work_in_progress": 1, "models_loaded": 1}
    room.let("more")
    await busy
    assert (await room.client.get("/health")).json()["checks"]["work_in_progress"] == 0
