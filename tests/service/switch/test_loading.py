"""How models come into memory, and what is said when they do not."""

from __future__ import annotations

import asyncio
from pathlib import Path

from switch.adapters.worker import Program
from tests.service.switch.conftest import Room, asking, switch_in
from tests.support.clock import ManualClock


async def test_two_who_want_a_sleeping_model_load_it_once(room: Room) -> None:
    room.plan("a", {"until": "loaded"})
    both = [asking(room, "a"), asking(room, "a")]
    loading = await room.until("a", lambda model: model["waiting"] == 2 and model["progress"] == 0.5)
    assert (loading["stage"], loading["in_use"], loading["reserved_mb"]) == ("loading", 0, 100)
    queue = (await room.client.get("/switch/queue/status")).json()
    assert (queue["in_use"], queue["waiting"], queue["by_model"]) == (0, 2, {"a": 2})
    room.let("loaded")
    assert [answer.status_code for answer in await asyncio.gather(*both)] == [200, 200]
    assert room.starts("a") == 1
    ready = await room.model("a")
    assert (ready["stage"], ready["progress"], ready["waiting"]) == ("ready", None, 0)
    assert ready["memory_mb"] > 0


async def test_a_client_that_leaves_while_it_waits_waits_no_more(room: Room) -> None:
    room.plan("a", {"until": "loaded"})
    request = asking(room, "a")
    await room.until("a", lambda model: model["waiting"] == 1)
    request.cancel()
    await room.until("a", lambda model: model["waiting"] == 0)
    room.let("loaded")
    ready = await room.at_stage("a", "ready")
    assert ready["in_use"] == 0
    assert room.log("a", "request") == []


async def test_a_worker_is_told_what_to_load_and_how(room: Room) -> None:
    await room.complete("a")
    [start] = room.log("a", "start")
    spec = start["spec"]
    assert spec["model_path"] == str(room.house.settings.models_path / "a.gguf")
    assert (spec["n_ctx"], spec["n_seq_max"], spec["kv_tokens"]) == (2048, 4, 4096)
    assert spec["use_extra_bufts"] is True
    assert len(spec["socket_path"]) < 100


async def test_what_a_file_has_proved_is_not_proved_again_until_it_changes(room: Room) -> None:
    file = room.house.settings.models_path / "a.gguf"
    file.parent.mkdir(exist_ok=True)
    for contents in (b"one", b"one", b"another"):
        if not file.exists() or file.read_bytes() != contents:
            file.write_bytes(contents)
        await room.complete("a")
        await room.client.post("/switch/models/a/unload")
        await room.at_stage("a", "asleep")
    assert [start["spec"]["proved"] for start in room.log("a", "start")] == ["", "shared", ""]


async def test_a_crash_while_loading_is_tried_once_more_without_the_cpu_s_extra_buffers(room: Room) -> None:
    room.plan("a", {"load": "crash"}, {})
    assert (await room.complete("a")).status_code == 200
    first, second = room.log("a", "start")
    assert (first["spec"]["use_extra_bufts"], second["spec"]["use_extra_bufts"]) == (True, False)
    assert (await room.told("model.loaded"))[0]["extra_buffers"] is False


async def test_what_crashed_once_is_not_tried_that_way_again(room: Room) -> None:
    room.plan("a", {"load": "crash"}, {})
    await room.complete("a")
    await room.client.post("/switch/models/a/unload")
    await room.at_stage("a", "asleep")
    assert (await room.complete("a")).status_code == 200
    assert [start["spec"]["use_extra_bufts"] for start in room.log("a", "start")] == [True, False, False]


async def test_a_crash_both_ways_is_a_failure_that_says_so(room: Room) -> None:
    room.plan("a", {"load": "crash"})
    answer = await room.complete("a")
    assert (answer.status_code, answer.json()["code"]) == (503, "model_failed")
    assert "SIGSEGV" in answer.json()["detail"]
    assert room.starts("a") == 2


async def test_a_failed_load_is_told_to_all_who_wait_and_left_alone_for_a_while(tmp_path: Path) -> None:
    clock = ManualClock()
    async with switch_in(tmp_path, clock=clock, cooldown_sec=30) as room:
        room.plan("a", {"load": "failed", "detail": "The model did not load: unknown architecture."}, {})
        for answer in await asyncio.gather(room.complete("a"), room.complete("a")):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
            assert "unknown architecture" in answer.json()["detail"]
        cooling = await room.model("a")
        assert (cooling["stage"], cooling["reserved_mb"]) == ("cooling", 0)
        assert "unknown architecture" in cooling["failure"]
        assert "unknown architecture" in (await room.told("model.failed"))[0]["reason"]

        clock.advance(20)
        again = await room.complete("a")
        assert (again.status_code, again.headers["retry-after"], room.starts("a")) == (503, "10", 1)
        assert (await room.complete("b")).status_code == 200

        clock.advance(10)
        assert (await room.complete("a")).status_code == 200


async def test_a_model_that_never_gets_ready_is_given_up(tmp_path: Path) -> None:
    async with switch_in(tmp_path, load_timeout_sec=0.5) as room:
        room.plan("a", {"load": "never"})
        answer = await room.complete("a")
        assert (answer.status_code, answer.json()["code"]) == (503, "model_failed")
        assert "0.5 s" in answer.json()["detail"]
        assert room.starts("a") == 1


async def test_other_things_on_stdout_do_no_harm(room: Room) -> None:
    room.plan("a", {"load": "garbage"})
    assert (await room.complete("a")).status_code == 200


async def test_a_worker_that_cannot_even_start_is_a_failure_without_a_path_of_this_host(tmp_path: Path) -> None:
    nothing = Program((str(tmp_path / "no-such-program"),))
    async with switch_in(tmp_path, program=nothing) as room:
        answer = await room.complete("a")
        assert (answer.status_code, answer.json()["code"]) == (503, "model_failed")
        assert str(tmp_path) not in answer.text


async def test_loading_by_hand_returns_when_the_model_is_ready(room: Room) -> None:
    loaded = (await room.client.post("/switch/models/a/load")).json()
    assert (loaded["name"], loaded["stage"], loaded["in_use"]) == ("a", "ready", 0)
    unknown = await room.client.post("/switch/models/nobody/load")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_model")


async def test_too_many_waiters_are_sent_away(tmp_path: Path) -> None:
    async with switch_in(tmp_path, max_waiting=1, parallel=1) as room:
        room.plan("a", {"until": "loaded"})
        waiting = [asking(room, "a"), asking(room, "a")]
        await room.until("a", lambda model: model["waiting"] == 2)
        third = await room.complete("a")
        assert (third.status_code, third.json()["code"]) == (429, "rate_limited")
        assert int(third.headers["retry-after"]) > 0
        room.let("loaded")
        assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}
