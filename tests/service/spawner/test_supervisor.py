"""Slots, retries, deadlines, signs of life, and what a dead spawner leaves behind."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.db_schema import DaughterAttempt
from spawner.cage import Ending, Verdict
from tests.support.clock import ManualClock
from tests.support.spawner import FAILED, WELL, ScriptedCage, Spawner, patiently, spawner_in

TOO_LONG = Verdict(Ending.TIMEOUT, wall_sec=5)
TOO_MUCH = Verdict(Ending.MEMORY, detail="It took more than 128 MiB.")


async def crowd(spawner: Spawner, size: int) -> None:
    for number in range(size):
        await spawner.spawn(f"hang {number}")


async def test_eight_run_at_once_and_the_ninth_waits_for_a_slot(tmp_path: Path) -> None:
    async with spawner_in(tmp_path) as spawner:
        await crowd(spawner, 10)
        await spawner.at_work(*(f"hang {number}" for number in range(8)))
        status = (await spawner.client.get("/spawner/status")).json()
        assert (status["running"], status["waiting"], status["slots"]) == (8, 2, 8)
        spawner.cage.finish("hang 0")
        await spawner.at_work(*(f"hang {number}" for number in range(1, 9)))
        assert spawner.cage.most_at_once == 8


def fluzo(profile: str) -> dict[str, Any]:
    nothing = dict.fromkeys(("battery", "pressure_cpu", "pressure_memory", "load", "measured_at", "cpu", "memory"))
    return {**nothing, "profile": profile, "mode": "ECO", "not_measured": []}


@pytest.mark.parametrize(("profile", "slots"), [("low_power", 2), ("balanced", 5), ("performance", 10)])
async def test_an_awake_switch_says_how_many(tmp_path: Path, profile: str, slots: int) -> None:
    def switch(request: httpx.Request) -> httpx.Response:
        assert request.url.port == 8002
        ready = {"ready": True, "module": "switch"}
        return httpx.Response(200, json=ready if request.url.path == "/ready" else fluzo(profile))

    async with spawner_in(tmp_path, peers=switch) as spawner:
        await crowd(spawner, 11)
        await spawner.at_work(*(f"hang {number}" for number in range(slots)))
        status = (await spawner.client.get("/spawner/status")).json()
        assert (status["running"], status["slots"], status["slots_because"]) == (slots, slots, f"fluzo {profile}")


async def test_a_retry_with_more_restarts_the_same_daughter_and_says_what_it_changed(tmp_path: Path) -> None:
    cage = ScriptedCage(plays={"x": [TOO_MUCH, Verdict(Ending.TIMEOUT), WELL]})
    async with spawner_in(tmp_path, cage=cage) as spawner:
        job = await spawner.ran("x", limits={"wall_sec": 10})
        assert (job["status"], job["tries"], job["error"]) == ("DONE", 3, None)
        mutations = [attempt["mutation"] for attempt in job["attempts"]]
        assert mutations == [
            None,
            {"kind": "longer_limit", "because": "It took more than 128 MiB.", "changes": {"memory_mb": [128, 256]}},
            {"kind": "longer_limit", "because": "It was ended: timeout.", "changes": {"wall_sec": [10, 20]}},
        ]
        assert [attempt["status"] for attempt in job["attempts"]] == ["error", "timeout", "success"]
        assert [attempt["number"] for attempt in job["attempts"]] == [1, 2, 3]
        assert [task.limits.memory_mb for task in cage.seen] == [128, 256, 256]
        assert [task.limits.wall_sec for task in cage.seen] == [10, 10, 20]
        [daughter] = job["daughters"]
        assert (daughter["status"], daughter["generation"]) == ("finished", 1)
        assert len({task.folder for task in cage.seen}) == 3, "each attempt has a folder of its own"


async def test_a_retry_with_another_task_is_a_successor(tmp_path: Path) -> None:
    cage = ScriptedCage(plays={"x": [FAILED], "less": [FAILED]})
    async with spawner_in(tmp_path, cage=cage) as spawner:
        job = await spawner.ran("x", alternatives=[{"cmd": "less"}])
        assert (job["status"], job["task_type"], job["code"]) == ("DONE", "shell", "less")
        lives = [(one["generation"], one["status"], (one["mutation"] or {}).get("kind")) for one in job["daughters"]]
        assert lives == [(1, "mutated", None), (2, "mutated", "other_task"), (3, "finished", "smaller_task")]
        assert [one["predecessor_id"] for one in job["daughters"]][1:] == [
            one["daughter_id"] for one in job["daughters"]
        ][:-1]
        assert [task.environment["VX11_SCALE"] for task in cage.seen] == ["1", "1", "0.5"]
        assert [task.environment["VX11_ATTEMPT"] for task in cage.seen] == ["1", "2", "3"]
        kinds = [event.data["mutation"]["kind"] for event in spawner.events("job.retrying")]
        assert kinds == ["other_task", "smaller_task"]


async def test_max_retries_counts_the_tries_after_the_first(tmp_path: Path) -> None:
    cage = ScriptedCage(plays={"x": [FAILED] * 9, "y": [FAILED] * 9})
    async with spawner_in(tmp_path, cage=cage) as spawner:
        twice = await spawner.ran("x", max_retries=2)
        assert (twice["status"], twice["tries"], len(twice["attempts"])) == ("ERROR", 3, 3)
        assert (twice["error"], twice["exit_code"]) == ("It ended with the exit code 1.", 1)
        assert twice["daughters"][-1]["status"] == "failed"
        never = await spawner.ran("y", max_retries=0)
        assert (never["status"], never["tries"]) == ("ERROR", 1)


async def failed_for_the(times: int, spawner: Spawner, spawn_id: str) -> None:
    """Wait until a job has failed so many times and waits for its next try."""
    job = await patiently(lambda: spawner.job(spawn_id), lambda job: (job["phase"], job["tries"]) == ("backoff", times))
    assert job["status"] == "PENDING"


async def test_a_retry_waits_two_seconds_then_four(tmp_path: Path) -> None:
    clock = ManualClock()
    async with spawner_in(
        tmp_path, cage=ScriptedCage(plays={"x": [FAILED, FAILED]}), clock=clock, backoff_sec=1
    ) as spawner:
        spawn_id = await spawner.spawn("x")
        for tries, least, most in ((1, 1.5, 2.5), (2, 3.0, 5.0)):
            await failed_for_the(tries, spawner, spawn_id)
            [waits] = [event.data["wait_sec"] for event in spawner.events("job.retrying")][-1:]
            assert least <= waits <= most
            clock.advance(waits - 0.1)
            await asyncio.sleep(0.1)  # several ticks: it must not have begun
            assert (await spawner.job(spawn_id))["tries"] == tries
            clock.advance(0.2)
        assert (await spawner.ended(spawn_id))["status"] == "DONE"


async def test_execute_ends_the_wait_for_a_retry(tmp_path: Path) -> None:
    cage = ScriptedCage(plays={"x": [FAILED]})
    async with spawner_in(tmp_path, cage=cage, clock=ManualClock(), backoff_sec=100) as spawner:
        spawn_id = await spawner.spawn("x")
        await spawner.comes_to(spawn_id, "PENDING", phase="backoff")
        assert (await spawner.post(f"execute/{spawn_id}")).status_code == 202
        assert (await spawner.ended(spawn_id))["status"] == "DONE"
        refused = await spawner.post(f"execute/{spawn_id}")
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")


async def test_without_auto_retry_each_try_is_asked_for(tmp_path: Path) -> None:
    cage = ScriptedCage(plays={"x": [FAILED, FAILED]})
    async with spawner_in(tmp_path, cage=cage) as spawner:
        job = await spawner.ran("x", auto_retry=False)
        assert (job["status"], job["phase"], job["tries"]) == ("ERROR", "by_hand", 1)
        await spawner.post(f"execute/{job['spawn_id']}")
        await patiently(lambda: spawner.job(job["spawn_id"]), lambda job: job["tries"] == 2 and job["finished_at"])
        await spawner.post(f"execute/{job['spawn_id']}")
        done = await spawner.comes_to(job["spawn_id"], "DONE")
        assert [(attempt["mutation"] or {}).get("kind") for attempt in done["attempts"]] == [None, "by_hand", "by_hand"]


async def test_a_job_in_its_ttl_is_ended_and_not_tried_again(tmp_path: Path) -> None:
    clock = ManualClock()
    async with spawner_in(tmp_path, clock=clock, at_once=1) as spawner:
        running = await spawner.spawn("hang", ttl_seconds=60)
        await spawner.at_work("hang")  # first: of two of one moment either may be the elder
        waiting = await spawner.spawn("never", ttl_seconds=60)
        clock.advance(61)
        ended = [await spawner.ended(spawn_id) for spawn_id in (running, waiting)]
        assert [job["status"] for job in ended] == ["EXPIRED", "EXPIRED"]
        assert [job["daughters"][0]["status"] for job in ended] == ["expired", "expired"]
        assert ended[0]["attempts"][0]["status"] == "timeout"
        assert ended[1]["attempts"] == []
        assert "60 s" in ended[1]["error"]


async def test_a_cage_that_ended_it_at_its_ttl_says_the_same(tmp_path: Path) -> None:
    clock = ManualClock()
    async with spawner_in(tmp_path, clock=clock, tick_sec=60) as spawner:
        spawn_id = await spawner.spawn("hang", ttl_seconds=5)
        await spawner.at_work("hang")
        clock.advance(5)
        spawner.cage.finish("hang", TOO_LONG)
        assert (await spawner.ended(spawn_id))["status"] == "EXPIRED"


async def test_a_waiting_job_that_is_killed_never_runs(tmp_path: Path) -> None:
    async with spawner_in(tmp_path, at_once=1) as spawner:
        await spawner.spawn("hang")
        waiting = await spawner.spawn("never")
        await spawner.at_work("hang")
        killed = (await spawner.post(f"jobs/{waiting}/kill")).json()
        assert (killed["status"], killed["attempts"], killed["error"]) == ("KILLED", [], "It was killed by admin.")
        spawner.cage.finish("hang")
        await spawner.ran("after")
        assert [task.argv[-1] for task in spawner.cage.seen] == ["hang", "after"]


async def heartbeats(spawner: Spawner) -> list[Any]:
    with spawner.house.db.read() as session:
        return [row.heartbeat_at for row in session.query(DaughterAttempt)]


async def test_a_running_attempt_gives_a_sign_of_life_every_ten_seconds(tmp_path: Path) -> None:
    clock = ManualClock()
    async with spawner_in(tmp_path, clock=clock) as spawner:
        spawn_id = await spawner.spawn("hang")
        await spawner.at_work("hang")
        for _ in range(4):
            clock.advance(10)
            assert await patiently(lambda: heartbeats(spawner), lambda seen: seen == [clock.now()])
        assert (await spawner.job(spawn_id))["status"] == "RUNNING"


async def test_an_attempt_that_nobody_runs_is_stale_after_thirty_seconds(tmp_path: Path) -> None:
    clock = ManualClock()
    async with spawner_in(tmp_path, clock=clock) as spawner:
        lost = await spawner.spawn("hang lost", max_retries=0)
        await spawner.at_work("hang lost")
        await spawner.spawn("hang other")
        await spawner.at_work("hang lost", "hang other")
        spawner.cage.finish("hang lost", FAILED)
        await spawner.ended(lost)
        with spawner.house.db.write() as session:  # as if its end had never been written
            [attempt] = [row for row in session.query(DaughterAttempt) if row.spawn_id == lost]
            attempt.status = "running"
        clock.advance(31)
        job = await patiently(lambda: spawner.job(lost), lambda job: job["attempts"][0]["kind"] == "stale")
        assert job["status"] == "ERROR"
        assert "no sign of life" in job["error"]


async def test_work_is_reported_while_any_job_is_unfinished(tmp_path: Path) -> None:
    async with spawner_in(tmp_path, cage=ScriptedCage(plays={"x": [FAILED]}), backoff_sec=100) as spawner:

        async def working() -> int:
            health = (await spawner.client.get("/health")).json()
            return int(health["checks"]["work_in_progress"])

        assert await working() == 0
        spawn_id = await spawner.spawn("x")
        await spawner.comes_to(spawn_id, "PENDING", phase="backoff")
        assert await working() == 1, "nobody else would start the retry"
        await spawner.post(f"jobs/{spawn_id}/kill")
        await patiently(working, lambda count: count == 0)


async def test_subtasks_run_side_by_side_and_the_whole_ends_with_the_last(tmp_path: Path) -> None:
    async with spawner_in(tmp_path) as spawner:
        parts = [{"code": "hang a", "name": "first"}, {"cmd": ["hang", "b"]}]
        whole = await spawner.spawn("own", name="sum", subtasks=parts)
        await spawner.at_work("hang a", "hang b")
        job = await spawner.comes_to(whole, "RUNNING", phase="subtasks")
        assert [(part["name"], part["status"]) for part in job["subtasks"]] == [
            ("first", "RUNNING"),
            ("sum 2", "RUNNING"),
        ]
        assert [part["parent_task_id"] for part in job["subtasks"]] == [whole, whole]
        spawner.cage.finish("hang a")
        await spawner.at_work("hang b")
        assert (await spawner.job(whole))["status"] == "RUNNING"
        spawner.cage.finish("hang b")
        assert (await spawner.ended(whole))["status"] == "DONE"


async def test_a_job_may_be_only_the_sum_of_its_parts(tmp_path: Path) -> None:
    cage = ScriptedCage(plays={"bad": [FAILED]})
    async with spawner_in(tmp_path, cage=cage) as spawner:
        well = await spawner.ended(await spawner.spawn(subtasks=[{"code": "a"}, {"code": "b"}]))
        assert (well["status"], well["attempts"], well["daughters"][0]["status"]) == ("DONE", [], "finished")
        parts = [{"code": "a"}, {"code": "bad", "max_retries": 0}]
        badly = await spawner.ended(await spawner.spawn(subtasks=parts))
        assert (badly["status"], badly["error"]) == ("ERROR", "Not all of its subtasks succeeded.")
        assert [part["status"] for part in badly["subtasks"]] == ["DONE", "ERROR"]
        assert (badly["daughters"][0]["status"], badly["code"]) == ("failed", None)


async def test_the_parts_of_a_whole_that_failed_are_ended(tmp_path: Path) -> None:
    cage = ScriptedCage(plays={"own": [FAILED]})
    async with spawner_in(tmp_path, cage=cage) as spawner:
        whole = await spawner.spawn("own", max_retries=0, subtasks=[{"code": "hang a"}])
        await spawner.comes_to(whole, "ERROR")
        [part] = (await spawner.job(whole))["subtasks"]
        assert (await spawner.ended(part["spawn_id"]))["status"] == "KILLED"


async def test_a_spawner_that_comes_back_finds_its_attempts_dead_and_says_so(tmp_path: Path) -> None:
    async with spawner_in(tmp_path) as spawner:
        retried = await spawner.spawn("hang retried")
        given_up = await spawner.spawn("hang given up", max_retries=0)
        await spawner.at_work("hang retried", "hang given up")
    assert spawner.cage.closed, "the service let go of its daughters, and left their rows as they are"
    async with spawner_in(tmp_path) as spawner:
        assert (await spawner.ended(given_up))["status"] == "ERROR"
        lost = (await spawner.job(given_up))["attempts"][0]
        assert (lost["status"], lost["kind"]) == ("error", "interrupted")
        assert "found dead" in lost["detail"]
        await spawner.at_work("hang retried")
        spawner.cage.finish("hang retried")
        job = await spawner.ended(retried)
        assert (job["status"], job["tries"]) == ("DONE", 2)
        assert job["attempts"][1]["mutation"]["kind"] == "fresh_start"
        assert job["attempts"][1]["mutation"]["because"] == lost["detail"]


async def test_jobs_that_waited_go_on_where_they_were(tmp_path: Path) -> None:
    async with spawner_in(tmp_path, at_once=1) as spawner:
        await spawner.spawn("hang", max_retries=0)
        waiting = await spawner.spawn("x")
        await spawner.at_work("hang")
    async with spawner_in(tmp_path, at_once=1) as spawner:
        job = await spawner.ended(waiting)
        assert (job["status"], job["tries"]) == ("DONE", 1)
