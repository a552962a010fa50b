"""The spawner with its real cage: what daughters say while they run, how they end, and what `kill -9` leaves behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cages import alive
from tests.support.eventually import eventually
from tests.support.fleet import Fleet, fleet_in
from tests.support.ports import free_port_offset
from tests.support.spawner_process import Process, spawner_process

# A grandchild that left its session and its parent; it and its forebear say who they are.
FAMILY = """
import os, sys, time
print(os.getpid(), flush=True)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        while True:
            time.sleep(60)
    os._exit(0)
os.wait()
while True:
    time.sleep(60)
"""
ONCE = """
import os, sys, time
print("try", os.environ["VX11_ATTEMPT"], flush=True)
if os.environ["VX11_ATTEMPT"] == "1":
    time.sleep(600)
"""


@pytest.fixture
async def spawner(folder: Path) -> AsyncIterator[Process]:
    async with spawner_process(folder, 8008 + free_port_offset()) as running:
        yield running


async def gone(pids: list[int]) -> None:
    async def left() -> list[int]:
        return [pid for pid in pids if alive(pid)]

    await eventually(left, lambda found: not found)


async def family(spawner: Process, **order: int) -> tuple[str, list[int]]:
    """A daughter and a grandchild that has left her; the job, and both as this machine numbers them."""
    spawn_id = await spawner.spawn(FAMILY, **order)
    pids = [int(line) for line in (await spawner.says(spawn_id, 2))[:2]]
    assert all(alive(pid) for pid in pids)
    return spawn_id, pids


async def test_a_daughter_is_kept_apart_and_it_is_said_how(spawner: Process) -> None:
    status = (await spawner.client.get("/spawner/status")).json()
    code = "import json, os, sys; print(json.dumps([os.getuid(), sorted(os.environ), sys.argv]))"
    job = await spawner.comes_to(await spawner.spawn(code), "DONE", "ERROR")
    assert (job["status"], job["error"]) == ("DONE", None)
    assert job["isolation"] == job["attempts"][0]["isolation"] == status["isolation"]
    attempt = job["attempts"][0]
    assert (attempt["kind"], attempt["exit_code"], attempt["output_bytes"] > 0) == ("exited", 0, True)
    _, names, _ = json.loads(job["output_tail"])
    assert [name for name in names if "TOKEN" in name or "DATABASE" in name] == []
    assert {"VX11_SPAWN_ID", "VX11_ATTEMPT"} <= set(names)


async def test_output_is_streamed_while_the_daughter_speaks(spawner: Process) -> None:
    spawn_id = await spawner.spawn("import time\nprint('first', flush=True)\nwhile True: time.sleep(60)")
    seen: list[str] = []
    headers = {"accept": "text/event-stream"}
    async with spawner.client.stream("GET", f"/spawner/jobs/{spawn_id}/output", headers=headers) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                seen.append(line.removeprefix("event: "))
            if line.startswith("data: ") and seen[-1] == "output":
                assert json.loads(line.removeprefix("data: "))["text"] == "first\n"
                assert (await spawner.job(spawn_id))["status"] == "RUNNING"
                await spawner.client.post(f"/spawner/jobs/{spawn_id}/kill")
    assert seen == ["output", "ended"]
    assert (await spawner.job(spawn_id))["status"] == "KILLED"


async def test_a_kill_takes_a_grandchild_that_had_left(spawner: Process) -> None:
    spawn_id, pids = await family(spawner)
    killed = (await spawner.client.post(f"/spawner/jobs/{spawn_id}/kill")).json()
    assert (killed["status"], killed["attempts"][0]["kind"]) == ("KILLED", "killed")
    await gone(pids)


async def test_at_its_ttl_a_job_is_ended_with_all_it_started(spawner: Process) -> None:
    spawn_id, pids = await family(spawner, ttl_seconds=3)
    job = await spawner.comes_to(spawn_id, "EXPIRED")
    assert (job["daughters"][0]["status"], job["attempts"][0]["status"]) == ("expired", "timeout")
    await gone(pids)


async def test_a_limit_that_was_hit_is_raised_for_the_retry(spawner: Process) -> None:
    code = "import time; time.sleep(1.2); print('well')"
    job = await spawner.comes_to(await spawner.spawn(code, limits={"wall_sec": 0.7}), "DONE", "ERROR")
    kinds = [(attempt["kind"], attempt["limits"]["wall_sec"]) for attempt in job["attempts"]]
    assert kinds[0] == ("timeout", 0.7)
    assert kinds[1][1] == 1.4
    assert (job["status"], job["attempts"][1]["mutation"]["kind"]) == ("DONE", "longer_limit")


async def test_a_dry_run_shows_what_would_change_and_changes_nothing(spawner: Process, folder: Path) -> None:
    write = "from pathlib import Path; Path('kept.txt').write_text('{0}'); Path('{0}.txt').write_text('x')"
    await spawner.comes_to(await spawner.spawn(write.format("a"), workspace="notes"), "DONE")
    job = await spawner.comes_to(await spawner.spawn(write.format("b"), workspace="notes", dry_run=True), "DONE")
    assert {file["path"]: file["change"] for file in job["changed_files"]} == {"b.txt": "added", "kept.txt": "modified"}
    [place] = (folder / "data" / "spawner" / "workspaces").glob("*/notes")
    assert sorted(path.name for path in place.iterdir()) == ["a.txt", "kept.txt"]
    assert (place / "kept.txt").read_text() == "a"


async def test_after_kill_9_of_the_spawner_nothing_runs_and_the_next_one_says_what_was(spawner: Process) -> None:
    doomed, pids = await family(spawner, max_retries=0)
    retried = await spawner.spawn(ONCE)
    await spawner.says(retried, 1)
    await spawner.die()
    await gone(pids)
    await spawner.live_again()
    job = await spawner.comes_to(doomed, "ERROR")
    assert (job["attempts"][0]["kind"], job["attempts"][0]["status"]) == ("interrupted", "error")
    again = await spawner.comes_to(retried, "DONE")
    assert [attempt["kind"] for attempt in again["attempts"]] == ["interrupted", "exited"]
    assert again["attempts"][1]["mutation"]["kind"] == "fresh_start"
    assert again["output_tail"] == "try 2\n"


@pytest.mark.timeout(300)  # five starts, and a busy machine takes its time
async def test_killed_again_and_again_it_loses_no_job_and_leaves_no_process(spawner: Process) -> None:
    """Kills while jobs are taken on, started, running and settled; what is over stays over."""
    work = "import os, time; print(os.getpid(), flush=True); time.sleep(0.4)"
    jobs: list[str] = []
    pids: set[int] = set()
    for pause in (0.0, 0.05, 0.3, 0.6):
        jobs += [await spawner.spawn(work, max_retries=10) for _ in range(3)]
        await asyncio.sleep(pause)
        over = {job: await spawner.job(job) for job in jobs}
        await spawner.die()
        await spawner.live_again()
        for job, before in over.items():
            if before["status"] == "DONE":
                assert (await spawner.job(job))["attempts"] == before["attempts"]
    for job in jobs:
        ended = await spawner.comes_to(job, "DONE", "ERROR", "EXPIRED")
        kinds = [attempt["kind"] for attempt in ended["attempts"]]
        assert (ended["status"], kinds[-1], set(kinds[:-1]) <= {"interrupted"}) == ("DONE", "exited", True)
        pids |= {attempt["pid"] for attempt in ended["attempts"] if attempt["pid"]}
    await gone(sorted(pids))


async def test_eight_real_daughters_at_once_and_the_rest_in_turn(spawner: Process) -> None:
    jobs = [await spawner.spawn("import time; time.sleep(0.3)") for _ in range(12)]
    ended = [await spawner.comes_to(job, "DONE", "ERROR", "EXPIRED") for job in jobs]
    assert {job["status"] for job in ended} == {"DONE"}
    moments = [(a["started_at"], 1) for job in ended for a in job["attempts"]]
    moments += [(a["finished_at"], -1) for job in ended for a in job["attempts"]]
    most, now = 0, 0
    for _, step in sorted(moments):
        now += step
        most = max(most, now)
    assert 1 < most <= 8


@pytest.fixture
async def fleet(folder: Path) -> AsyncIterator[Fleet]:
    async with fleet_in(folder, VX11_POWER_WAKE_TTL_SEC="1") as running:
        yield running


async def daughter(fleet: Fleet, code: str, **wish: int) -> str:
    """A task spawned at the door; its id."""
    url, body = fleet.url(8000) + "/vx11/spawn", {"task_type": "python", "code": code, **wish}
    answer = await fleet.http.post(url, json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["spawn_id"])


async def result(fleet: Fleet, spawn_id: str, *status: str) -> dict[str, Any]:
    """What came of it, once it has one of these statuses; asking wakes spawner."""

    async def look() -> dict[str, Any]:
        return dict((await fleet.get(f"/vx11/result/{spawn_id}")).json())

    return await eventually(look, lambda told: told.get("status") in status, within_sec=60)


async def test_power_lets_a_spawner_sleep_only_when_no_job_is_left(fleet: Fleet) -> None:
    spawn_id = await daughter(fleet, "import time; time.sleep(4); print('slept well')")
    await fleet.comes_to("spawner", "ready")
    await fleet.comes_to("spawner", "asleep", within_sec=60)
    told = await result(fleet, spawn_id, "DONE", "ERROR")
    assert (told["response"], told["result"]["tries"]) == ("slept well\n", 1), "a lease of 1 s, a task of 4 s, one try"


async def test_madre_brings_a_killed_spawner_back_and_its_job_goes_on(fleet: Fleet) -> None:
    await fleet.power("window/open", {"services": ["spawner"], "ttl_sec": 600})
    spawn_id = await daughter(fleet, ONCE, max_retries=1)

    async def speaks() -> bool:
        said: str = (await fleet.get(f"/spawner/jobs/{spawn_id}/output")).json()["text"]
        return said == "try 1\n"

    await eventually(speaks, bool, within_sec=40)
    os.kill(fleet.pid_of("spawner"), signal.SIGKILL)
    told = await result(fleet, spawn_id, "DONE", "ERROR")
    assert [one["kind"] for one in told["result"]["attempts"]] == ["interrupted", "exited"]
    assert told["response"] == "try 2\n"
