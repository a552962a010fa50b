"""Warm-up, pins and idle times, as calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from config.auth import Role
from config.db_schema import ModelUsageStat
from tests.service.switch.conftest import MODEL_MB, Room, switch_in
from tests.support.clock import ManualClock
from tests.support.eventually import eventually


async def warmed(room: Room) -> dict[str, Any]:
    """The status of a warm-up that is over."""

    async def look() -> dict[str, Any]:
        found: dict[str, Any] = (await room.client.get("/switch/warmup/status")).json()
        return found

    return await eventually(look, lambda status: status["state"] == "done")


async def test_every_enabled_model_is_loaded_in_its_turn_and_infers(tmp_path: Path) -> None:
    async with switch_in(tmp_path, budget_mb=2 * MODEL_MB) as room:
        idle = (await room.client.get("/switch/warmup/status")).json()
        assert idle == {"state": "idle", "started_at": None, "finished_at": None, "models": []}
        begun = await room.client.post("/switch/warmup")
        assert (begun.status_code, begun.json()["state"]) == (202, "running")
        status = await warmed(room)
        assert [(model["name"], model["state"]) for model in status["models"]] == [
            ("a", "ok"),
            ("b", "ok"),
            ("c", "ok"),
        ]
        assert all(model["load_sec"] > 0 and model["inference_sec"] > 0 for model in status["models"])
        assert status["started_at"] < status["finished_at"]
        uses = await room.kept(ModelUsageStat, 3)
        assert {(use.model, use.outcome) for use in uses} == {("a", "ok"), ("b", "ok"), ("c", "ok")}
        [unloaded] = room.events("model.unloaded")  # room for two: the one that is quicker to bring back went
        assert unloaded["model"] in ("a", "b")


async def test_one_that_fails_does_not_keep_the_others_cold(room: Room) -> None:
    room.plan("a", {"load": "failed", "detail": "Unknown architecture."})
    room.plan("b", {"refuses": 400})
    await room.client.post("/switch/warmup", json={"models": ["a", "b", "c"]})
    a, b, c = (await warmed(room))["models"]
    assert (a["state"], b["state"], c["state"]) == ("failed", "failed", "ok")
    assert "Unknown architecture" in a["detail"]
    assert "400" in b["detail"]


async def test_an_unknown_model_is_not_warmed_up_and_one_warm_up_runs_at_a_time(room: Room) -> None:
    unknown = await room.client.post("/switch/warmup", json={"models": ["nobody"]})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_model")
    room.plan("a", {"until": "loaded"})
    first = (await room.client.post("/switch/warmup", json={"models": ["a"]})).json()
    second = (await room.client.post("/switch/warmup", json={"models": ["b"]})).json()
    assert (second["started_at"], [model["name"] for model in second["models"]]) == (first["started_at"], ["a"])
    room.let("loaded")
    await warmed(room)


async def test_a_pinned_model_is_loaded_stays_and_comes_back(tmp_path: Path) -> None:
    clock = ManualClock()
    async with switch_in(tmp_path, clock=clock, budget_mb=2 * MODEL_MB) as room:
        assert (await room.client.post("/switch/models/a/pin")).json()["pinned"]
        await room.at_stage("a", "ready")
        for name in ("b", "c"):
            assert (await room.complete(name)).status_code == 200
        clock.advance(10_000)
        await room.at_stage("c", "asleep")
        assert (await room.model("a"))["stage"] == "ready"
        held = await room.client.post("/switch/models/a/unload")
        assert (held.status_code, held.json()["hint"]) == (409, "POST /switch/models/a/unpin first.")
        assert not (await room.client.post("/switch/models/a/unpin")).json()["pinned"]
        await room.at_stage("a", "asleep")


async def test_pins_that_do_not_fit_are_refused_with_the_arithmetic(tmp_path: Path) -> None:
    async with switch_in(tmp_path, budget_mb=MODEL_MB + 50, pinned=("a",)) as room:
        await room.at_stage("a", "ready")  # as the settings say
        refused = await room.client.post("/switch/models/b/pin")
        assert (refused.status_code, refused.json()["code"]) == (409, "not_enough_memory")
        waiting = await room.complete("b")
        assert (waiting.status_code, waiting.json()["code"]) == (503, "unavailable")
        assert "100 are pinned" in waiting.json()["detail"]


async def test_a_model_may_have_an_idle_time_of_its_own(tmp_path: Path) -> None:
    clock = ManualClock()
    async with switch_in(tmp_path, clock=clock, model_ttls={"b": 20}) as room:
        loaded = await room.client.post("/switch/models/a/load", json={"ttl_sec": 10})
        assert loaded.json()["ttl_sec"] == 10
        for name in ("b", "c"):
            await room.complete(name)
        clock.advance(10)
        await room.at_stage("a", "asleep")
        clock.advance(10)
        await room.at_stage("b", "asleep")
        assert (await room.model("c"))["stage"] == "ready"


async def test_who_may_what(room: Room) -> None:
    user = room.token(Role.USER)
    for path in ("/switch/warmup", "/switch/models/a/pin", "/switch/models/a/unpin"):
        refused = await room.client.post(path, headers=user)
        assert (refused.status_code, refused.json()["code"]) == (403, "role_required")
    assert (await room.client.get("/switch/warmup/status", headers=user)).status_code == 200
