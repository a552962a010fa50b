"""Who wishes a running job's end is heard, also where its try ends by itself, or with spawner, in the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.service.spawner.test_tools import CHAT, TOOLS, Peers
from tests.support.held_writes import HeldWrites
from tests.support.spawner import FAILED, WELL, ScriptedCage, Spawner, patiently, spawner_in


@asynccontextmanager
async def just_over(spawner: Spawner, spawn_id: str, code: str) -> AsyncIterator[HeldWrites]:
    """The try has failed, and its end is about to be written: what that write was told, it was told."""
    held = HeldWrites(spawn_id)
    asyncio.get_running_loop().set_default_executor(held)
    spawner.cage.finish(code, FAILED)
    await held.arrived.wait()
    yield held


async def audited(spawner: Spawner, action: str) -> None:
    """Return once an act was committed."""

    async def acts() -> list[str]:
        return [row.action for row in spawner.audit()]

    await patiently(acts, lambda seen: action in seen)


@pytest.mark.parametrize(
    ("path", "status"), [("jobs/{}/kill", "KILLED"), ("complete/{}", "DONE")], ids=["kill", "complete"]
)
async def test_a_word_that_comes_between_the_verdict_and_its_rows_holds(tmp_path: Path, path: str, status: str) -> None:
    async with spawner_in(tmp_path) as spawner:
        spawn_id = await spawner.spawn("hang")
        await spawner.at_work("hang")
        async with just_over(spawner, spawn_id, "hang") as held:
            asked = asyncio.create_task(spawner.post(path.format(spawn_id)))
            await audited(spawner, "job.kill" if status == "KILLED" else "job.complete")
            held.let_go()
        answer = (await asked).json()
        assert (answer["status"], answer["phase"], answer["tries"]) == (status, "ended", 1)
        assert spawner.events("job.retrying") == []
        assert answer["attempts"][0]["kind"] == "exited", "what the daughter did is still told"


async def test_a_part_whose_whole_fails_in_that_moment_is_not_tried_again(tmp_path: Path) -> None:
    async with spawner_in(tmp_path) as spawner:
        whole = await spawner.spawn("hang whole", max_retries=0, subtasks=[{"code": "hang part"}])
        await spawner.at_work("hang whole", "hang part")
        [part] = (await spawner.job(whole))["subtasks"]
        async with just_over(spawner, part["spawn_id"], "hang part") as held:
            spawner.cage.finish("hang whole", FAILED)
            await spawner.comes_to(whole, "ERROR")
            held.let_go()
        job = await spawner.ended(part["spawn_id"])
        assert (job["status"], job["tries"], whole in job["error"]) == ("KILLED", 1, True)


class DeafCage(ScriptedCage):
    """Its daughters do not end when they are told to."""

    async def kill(self, pid: int) -> bool:
        return True


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [("jobs/{}/kill", None, "KILLED"), ("complete/{}", {"status": "ERROR", "detail": "no more"}, "ERROR")],
    ids=["kill", "complete"],
)
async def test_a_word_is_kept_when_spawner_dies_before_the_blow(
    tmp_path: Path, path: str, body: Any, status: str
) -> None:
    async with spawner_in(tmp_path, cage=DeafCage()) as dead:  # from here on it does nothing more, as if it were
        spawn_id = await dead.spawn("hang")
        await dead.at_work("hang")
        asked = asyncio.create_task(dead.post(path.format(spawn_id), body))
        await audited(dead, "job.kill" if body is None else "job.complete")
        async with spawner_in(tmp_path) as spawner:
            job = await spawner.ended(spawn_id)
            assert (job["status"], job["tries"], job["attempts"][0]["kind"]) == (status, 1, "interrupted")
            assert job["error"] == ("It was killed by admin." if body is None else "no more")
            assert spawner.cage.seen == []
    await asked


async def test_a_tool_that_has_answered_is_not_asked_again_because_of_a_kill(tmp_path: Path) -> None:
    peers = Peers()
    async with spawner_in(tmp_path, peers=peers, at_once=1) as spawner:
        await spawner.spawn("hang")
        await spawner.at_work("hang")
        spawn_id = await spawner.spawn(CHAT, task_type="tool", tool_allowlist=TOOLS)
        held = HeldWrites(spawn_id)
        asyncio.get_running_loop().set_default_executor(held)
        spawner.cage.finish("hang", WELL)
        await held.arrived.wait()
        asked = asyncio.create_task(spawner.post(f"jobs/{spawn_id}/kill"))
        await audited(spawner, "job.kill")
        held.let_go()
        answer = (await asked).json()
        chats = [path for path, _ in peers.asked].count("/switch/chat")
        assert (answer["status"], answer["tries"], chats) == ("DONE", 1, 1), "it was done before the blow fell"
        assert answer["result"]["reply"] == "good day"


async def test_what_is_over_is_written_down_before_the_service_ends(tmp_path: Path) -> None:
    async with spawner_in(tmp_path) as spawner:
        spawn_id = await spawner.spawn("hang")
        await spawner.at_work("hang")
        held = HeldWrites(spawn_id)
        asyncio.get_running_loop().set_default_executor(held)
        spawner.cage.finish("hang", WELL)
        await held.arrived.wait()
        asyncio.get_running_loop().call_soon(held.let_go)
    async with spawner_in(tmp_path) as spawner:
        job = await spawner.job(spawn_id)
        assert (job["status"], job["attempts"][0]["kind"]) == ("DONE", "exited")


async def test_a_kill_ends_the_callers_own_line_and_leaves_somebody_elses_child(tmp_path: Path) -> None:
    async with spawner_in(tmp_path) as spawner:
        ana, oda = spawner.token_of("ana"), spawner.token_of("oda", "operator")
        root = await spawner.spawn("hang root", ana)
        own = await spawner.spawn("hang own", ana, parent_task_id=root)
        others = await spawner.spawn("hang other's", oda, parent_task_id=root)
        below = await spawner.spawn("hang below", oda, parent_task_id=others)
        await spawner.at_work("hang root", "hang own", "hang other's", "hang below")
        killed = (await spawner.post(f"jobs/{root}/kill", headers=ana)).json()
        assert (killed["status"], (await spawner.job(own))["status"]) == ("KILLED", "KILLED")
        assert spawner.cage.at_work == {"hang other's", "hang below"}
        assert ((await spawner.job(below))["ancestors"]) == [others, root], "where it comes from stays known"
        kills = [row for row in spawner.audit() if row.action == "job.kill"]
        assert [(row.target, row.detail["owner"], row.detail["override"]) for row in kills] == [
            (root, "ana", False),
            (own, "ana", False),
        ]


async def test_an_operators_kill_takes_everybody_and_each_is_in_the_audit(tmp_path: Path) -> None:
    async with spawner_in(tmp_path) as spawner:
        ana, oda = spawner.token_of("ana"), spawner.token_of("oda", "operator")
        root = await spawner.spawn("hang root", oda)
        family = [root, await spawner.spawn("hang ben's", spawner.token_of("ben", "operator"), parent_task_id=root)]
        family.append(await spawner.spawn("x", oda, parent_task_id=root))
        await spawner.ended(family.pop())
        await spawner.at_work("hang root", "hang ben's")
        assert (await spawner.post(f"jobs/{root}/kill", headers=ana)).status_code == 404
        await spawner.post(f"jobs/{root}/kill", headers=oda)
        assert spawner.cage.at_work == set()
        kills = [row for row in spawner.audit() if row.action == "job.kill"]
        assert [(row.target, row.detail["owner"], row.detail["override"]) for row in kills] == [
            (root, "oda", False),
            (family[1], "ben", True),
        ], "one note for each that was ended, none for what had ended before"
        assert kills[1].detail["descends_from"] == root


async def test_a_whole_that_is_said_to_have_failed_takes_its_running_parts_along(tmp_path: Path) -> None:
    async with spawner_in(tmp_path) as spawner:
        whole = await spawner.spawn(subtasks=[{"code": "hang part"}])
        await spawner.at_work("hang part")
        said = (await spawner.post(f"complete/{whole}", {"status": "ERROR", "detail": "no more"})).json()
        assert (said["status"], said["subtasks"][0]["status"]) == ("ERROR", "KILLED")
        assert spawner.cage.at_work == set()
