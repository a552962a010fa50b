"""What daughters take of the machine together: memory and disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spawner.cage import Ending, Task, Verdict
from tests.support.clock import ManualClock
from tests.support.spawner import FAILED, ScriptedCage, spawner_in

MIB = 1 << 20


@dataclass
class WritingCage(ScriptedCage):
    """Its daughters leave one file of so many MiB."""

    leaves_mb: int = 1

    async def run(self, task: Task, output: Path, started: Callable[[int], None]) -> Verdict:
        (task.folder / f"{task.environment['VX11_SPAWN_ID']}").write_bytes(b"x" * (self.leaves_mb * MIB))
        return await super().run(task, output, started)


def works(folder: Path) -> list[str]:
    """The tries whose work is there."""
    return sorted(
        f"{path.parents[1].name}/{path.parent.name}" for path in (folder / "data/spawner").glob("jobs/*/*/work")
    )


async def test_together_daughters_take_no_more_memory_than_there_is(tmp_path: Path) -> None:
    async with spawner_in(tmp_path, together_mb=300, memory_mb=128) as spawner:
        made = [await spawner.spawn(f"hang {number}") for number in range(3)]
        await spawner.at_work("hang 0", "hang 1")
        assert (await spawner.job(made[2]))["phase"] == "queued"
        spawner.cage.finish("hang 0")
        await spawner.at_work("hang 1", "hang 2")
        refused = await spawner.post("spawn", {"code": "x", "limits": {"memory_mb": 301}})
        assert (refused.status_code, refused.json()["errors"]) == (
            422, [{"field": "limits.memory_mb", "message": "at most 300"}],
        )  # fmt: skip


async def test_a_job_that_was_taken_on_where_there_was_more_memory_is_refused(tmp_path: Path) -> None:
    async with spawner_in(tmp_path, together_mb=512, at_once=1) as spawner:
        await spawner.spawn("hang", max_retries=0)
        await spawner.at_work("hang")
        large = await spawner.spawn("x", limits={"memory_mb": 500}, max_retries=0)
    async with spawner_in(tmp_path, together_mb=256) as spawner:
        job = await spawner.ended(large)
        assert (job["status"], job["attempts"][0]["kind"]) == ("ERROR", "refused")
        assert "VX11_SPAWNER_TOGETHER_MB" in job["error"]


async def test_a_try_leaves_no_work_to_the_next_nor_after_it_filled_the_disk(tmp_path: Path) -> None:
    full = Verdict(Ending.DISK, detail="It was too much.")
    cage = WritingCage(plays={"x": [FAILED, FAILED], "full": [full]})
    async with spawner_in(tmp_path, cage=cage) as spawner:
        job = await spawner.ran("x")
        assert (job["tries"], works(tmp_path)) == (3, [f"{job['spawn_id']}/3"])
        filled = await spawner.ran("full", max_retries=0)
        assert works(tmp_path) == [f"{job['spawn_id']}/3"]
        assert (filled["attempts"][0]["kind"], filled["output_tail"]) == ("disk", "full\n")


async def test_what_ended_jobs_left_makes_room_for_the_next_oldest_first(tmp_path: Path) -> None:
    cage = WritingCage(leaves_mb=3)
    async with spawner_in(tmp_path, cage=cage, disk_mb=4, stored_mb_per_user=10) as spawner:
        jobs = [(await spawner.ran(f"x {number}"))["spawn_id"] for number in range(4)]
        assert works(tmp_path) == sorted(f"{job}/1" for job in jobs[-2:])
        assert (await spawner.job(jobs[0]))["output_tail"] == "x 0\n", "what it said is kept longer"


async def test_where_a_workspace_leaves_no_room_a_try_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    cage = WritingCage(leaves_mb=3)
    async with spawner_in(tmp_path, cage=cage, disk_mb=4, output_kb=64, stored_mb_per_user=6) as spawner:
        assert (await spawner.ran("x", workspace="w"))["status"] == "DONE"
        job = await spawner.ran("y", max_retries=1)
        assert (job["status"], [one["kind"] for one in job["attempts"]]) == ("ERROR", ["no_space", "no_space"])
        assert "limits.disk_mb" in job["error"]
        assert "VX11_SPAWNER_STORED_MB_PER_USER" in job["error"]
        ben = await spawner.ended(await spawner.spawn("y", spawner.token_of("ben")))
        assert ben["status"] == "DONE", "it is another's room"
        assert (await spawner.ran("small", limits={"disk_mb": 1}))["status"] == "DONE"
    async with spawner_in(tmp_path, disk_mb=4, output_kb=64, stored_mb_per_user=6) as spawner:
        job = await spawner.ran("y", max_retries=0)
        assert job["attempts"][0]["kind"] == "no_space", "a spawner that comes back measures what is there"


async def test_the_room_of_all_and_the_free_space_are_bounds_too(tmp_path: Path) -> None:
    bounds: list[dict[str, Any]] = [{"stored_mb": 3}, {"free_mb": 1 << 40}]
    for number, bound in enumerate(bounds):
        async with spawner_in(tmp_path / str(number), disk_mb=4, **bound) as spawner:
            job = await spawner.ran("x", max_retries=0)
            assert (job["status"], job["attempts"][0]["kind"], spawner.cage.seen) == ("ERROR", "no_space", [])


async def test_a_workspace_that_nobody_uses_goes_once_it_is_said(tmp_path: Path) -> None:
    clock = ManualClock()
    async with spawner_in(tmp_path, cage=WritingCage(), clock=clock, workspace_days=30) as spawner:
        ana = spawner.token_of("ana")
        for name in ("old", "used"):
            await spawner.ended(await spawner.spawn("x", ana, workspace=name))
        clock.advance(20 * 86_400)
        await spawner.ended(await spawner.spawn("x", ana, workspace="used"))
        assert (await spawner.post("workspaces/tidy")).json()["workspaces"] == []
        clock.advance(11 * 86_400)
        assert (await spawner.post("workspaces/tidy", headers=ana)).status_code == 403
        plan = (await spawner.post("workspaces/tidy")).json()
        assert (plan["applied"], [(one["user"], one["name"]) for one in plan["workspaces"]]) == (
            False,
            [("ana", "old")],
        )
        places = [task.folder for task in spawner.cage.seen[:2]]
        assert [place.exists() for place in places] == [True, True]
        done = (await spawner.post("workspaces/tidy", {"apply": True})).json()
        assert (done["applied"], done["workspaces"]) == (True, plan["workspaces"])
        assert [place.exists() for place in places] == [False, True]
        [note] = [row for row in spawner.audit() if row.action == "workspace.remove"]
        assert (note.target, note.detail["owner"], note.detail["override"]) == ("old", "ana", True)
        assert (await spawner.post("workspaces/tidy", {"apply": True})).json()["workspaces"] == []
