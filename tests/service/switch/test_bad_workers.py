"""Workers that hang, leak or die, and files that change under them."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from tests.service.switch.conftest import Room, asking, gone, switch_in
from tests.support.clock import ManualClock


async def test_a_worker_that_says_nothing_while_loading_is_killed(tmp_path: Path) -> None:
    async with switch_in(tmp_path, stall_sec=0.5) as room:
        room.plan("a", {"load": "mute"})
        answer = await room.complete("a")
        assert (answer.status_code, answer.json()["code"]) == (503, "model_failed")
        assert "hung while loading" in answer.json()["detail"]
        [start] = room.log("a", "start")
        await gone(start["pid"])
        assert (await room.model("a"))["stage"] == "cooling"


async def test_a_worker_that_computes_nothing_is_killed_and_rests(tmp_path: Path) -> None:
    clock = ManualClock()
    async with switch_in(tmp_path, clock=clock, stall_sec=20) as room:
        room.plan("a", {"holds": "never", "health": "stuck"})
        request = asking(room, "a", stream=True)
        [start] = await room.logged("a", "start")
        await room.logged("a", "request")
        while Path(f"/proc/{start['pid']}").exists():
            clock.advance(10)
            await asyncio.sleep(0.2)
        assert "it computed nothing for 20 s" in (await request).text
        assert "computed nothing" in (await room.at_stage("a", "cooling"))["failure"]
        assert "computed nothing" in (await room.told("model.failed"))[0]["reason"]


async def test_a_worker_that_works_slowly_is_left_alone(tmp_path: Path) -> None:
    clock = ManualClock()
    async with switch_in(tmp_path, clock=clock, stall_sec=20) as room:
        room.plan("a", {"holds": "more"})
        request = asking(room, "a", stream=True)
        await room.logged("a", "request")
        for _ in range(4):
            clock.advance(15)
            await room.logged("a", "look", times=len(room.log("a", "look")) + 1)
        room.let("more")
        assert "[DONE]" in (await request).text


async def test_a_worker_that_does_not_answer_to_health_is_killed(tmp_path: Path) -> None:
    async with switch_in(tmp_path, stall_sec=0.5) as room:
        room.plan("a", {"health": "mute"}, {})
        await room.complete("a")
        assert "did not answer" in (await room.at_stage("a", "cooling"))["failure"]
        assert (await room.complete("b")).status_code == 200


async def test_a_worker_that_grew_is_replaced_once_nobody_uses_it(tmp_path: Path) -> None:
    clock = ManualClock()
    async with switch_in(tmp_path, clock=clock) as room:
        room.plan("a", {"leaks": 200, "holds": "more"}, {})
        request = asking(room, "a", stream=True)
        await room.logged("a", "request")
        while not (grown := await room.model("a"))["drains"]:
            clock.advance(10)
            await asyncio.sleep(0.2)
        assert grown["reserved_mb"] > 200
        room.let("more")
        assert "[DONE]" in (await request).text
        assert (await room.complete("a")).status_code == 200
        assert room.starts("a") == 2
        assert "grew to" in (await room.told("model.unloaded"))[0]["why"]
        assert (await room.model("a"))["reserved_mb"] > 200  # what was learnt is reserved from now on


async def test_a_file_cut_short_under_its_worker_is_said_plainly_and_takes_nothing_else_down(room: Room) -> None:
    room.plan("a", {"holds": "more"}, {})
    request = asking(room, "a", stream=True)
    await room.complete("b")
    [start] = await room.logged("a", "start")
    await room.logged("a", "request")
    os.kill(start["pid"], signal.SIGBUS)
    assert "its file was cut short under it" in (await request).text
    assert (await room.complete("a")).status_code == 200
    assert (room.starts("a"), room.starts("b")) == (2, 1)


async def test_a_worker_that_dies_again_before_it_served_anybody_is_left_alone_for_a_while(room: Room) -> None:
    room.plan("a", {"dies": "before"})
    for _ in range(2):
        assert (await room.complete("a")).status_code == 503
    again = await room.complete("a")
    assert (again.status_code, room.starts("a")) == (503, 2)
    assert int(again.headers["retry-after"]) > 1


async def test_a_file_replaced_under_its_worker_is_loaded_anew(room: Room) -> None:
    file = room.house.settings.models_path / "a.gguf"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"one")
    room.plan("a", {"holds": "more"}, {})
    request = asking(room, "a", stream=True)
    await room.logged("a", "request")
    file.with_suffix(".new").write_bytes(b"two")
    file.with_suffix(".new").replace(file)
    await room.until("a", lambda model: bool(model["drains"]))
    newcomer = asking(room, "a")
    room.let("more")
    assert "[DONE]" in (await request).text
    assert (await newcomer).status_code == 200
    assert room.starts("a") == 2
    assert (await room.told("model.unloaded"))[0]["why"] == "its file changed while it was in memory"


async def test_a_deleted_file_does_not_disturb_who_has_it_open(room: Room) -> None:
    clock = room.house.clock
    file = room.house.settings.models_path / "a.gguf"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"one")
    await room.complete("a")
    file.unlink()
    looked = clock.monotonic() + 1.5
    while clock.monotonic() < looked:  # a tick has passed
        assert (await room.complete("a")).status_code == 200
    assert room.starts("a") == 1


async def test_the_registry_s_news_reach_what_is_in_memory(room: Room) -> None:
    for name in ("a", "b"):
        await room.complete(name)
    with room.house.db.write() as session:
        room.house.journal.append(session, "model.changed", {"name": "a"})
    assert (await room.model("a"))["stage"] == "ready"  # nothing about it has changed
    room.change("a", sha256="another")
    room.change("b", enabled=False)
    with room.house.db.write() as session:
        room.house.journal.append(session, "model.changed", {"name": "a"})
    await room.at_stage("a", "asleep")
    await room.at_stage("b", "asleep")
    whys = {event["model"]: event["why"] for event in room.events("model.unloaded")}
    assert whys == {"a": "its file changed while it was in memory", "b": "removed or disabled"}
    assert (await room.complete("a")).status_code == 200
    assert (await room.complete("b")).status_code == 404
