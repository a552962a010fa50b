"""Jobs from the order to the end, as callers see them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spawner.cage import Change, ChangedFile, Ending, Promise, Rung, Verdict
from tests.support.spawner import FAILED, ScriptedCage, Spawner, level, spawner_in


async def test_a_job_is_taken_on_run_and_told_of(tmp_path: Path) -> None:
    async with spawner_in(tmp_path) as spawner:
        order = {"name": "sum", "code": "print(1)", "intent": "to add", "metadata": {"a": 1}, "trace_id": "t-1"}
        taken = await spawner.client.post("/spawn", json=order)
        body = taken.json()
        assert taken.status_code == 202
        assert (body["status"], body["correlation_id"], body["isolation"]) == ("PENDING", "t-1", "sandlock")
        job = await spawner.ended(body["spawn_id"])
        assert (job["status"], job["phase"], job["tries"], job["exit_code"]) == ("DONE", "ended", 1, 0)
        assert (job["name"], job["user"], job["intent"], job["metadata"]) == ("sum", "admin", "to add", {"a": 1})
        assert (job["spawn_uuid"], job["root_task_id"], job["depth"]) == (body["spawn_uuid"], body["spawn_id"], 0)
        assert (job["error"], job["changed_files"], job["output_tail"]) == (None, None, "print(1)\n")
        [daughter], [attempt] = job["daughters"], job["attempts"]
        assert (daughter["daughter_id"], daughter["status"]) == (body["daughter_id"], "finished")
        assert (attempt["attempt_id"], attempt["status"], attempt["kind"]) == (body["attempt_id"], "success", "exited")
        assert (attempt["cpu_sec"], attempt["wall_sec"], attempt["max_rss_mb"]) == (0.1, 0.2, 9.5)
        assert (attempt["isolation"], attempt["mutation"], attempt["pid"] > 0) == ("sandlock", None, True)
        assert (attempt["output_bytes"], attempt["output_truncated"]) == (9, False)
        told = spawner.events()
        assert [event.type for event in told] == ["job.pending", "job.running", "job.done"]
        assert {event.correlation_id for event in told} == {"t-1"}
        assert [row.action for row in spawner.audit()] == ["job.spawn"]
        by_uuid = await spawner.client.get(f"/spawner/jobs/{body['spawn_uuid']}")
        assert by_uuid.json()["spawn_id"] == body["spawn_id"]


async def test_a_daughter_is_told_what_it_is_and_nothing_else(tmp_path: Path) -> None:
    async with spawner_in(tmp_path, memory_mb=64) as spawner:
        job = await spawner.ran("x", ttl_seconds=30, limits={"cpu_sec": 3})
        [task] = spawner.cage.seen
        assert {key: value for key, value in task.environment.items() if key != "VX11_ATTEMPT_ID"} == {
            "VX11_SPAWN_ID": job["spawn_id"],
            "VX11_ATTEMPT": "1",
            "VX11_SCALE": "1",
            "VX11_MUTATION": "",
        }
        assert (task.network, task.dry_run, task.argv[-1]) == (False, False, "x")
        assert (task.limits.cpu_sec, task.limits.memory_mb) == (3, 64)
        assert 0 < task.limits.wall_sec <= 30
        assert task.folder.is_relative_to(tmp_path / "data" / "spawner")


async def test_the_same_key_is_one_job(tmp_path: Path) -> None:
    async with spawner_in(tmp_path) as spawner:
        answers = [
            await spawner.client.post("/spawner/spawn", json={"code": "x"}, headers={"idempotency-key": "k"})
            for _ in range(2)
        ]
        assert answers[0].json() == answers[1].json()
        assert len((await spawner.client.get("/spawner/jobs")).json()["items"]) == 1


async def test_what_cannot_be_run_is_refused_at_once(tmp_path: Path) -> None:
    async with spawner_in(tmp_path) as spawner:
        for order in (
            {},
            {"code": "x", "limits": {"memory_mb": 100_000}},
            {"code": "x", "limits": {"wall_sec": 301}},
            {"code": "{}", "task_type": "tool"},
            {"code": '{"tool": "switch.chat", "arguments": {"prompt": "hi"}}', "task_type": "tool"},
            {"code": '{"tool": "rm", "arguments": {}}', "task_type": "tool", "tool_allowlist": ["rm"]},
        ):
            assert (await spawner.post("spawn", order)).status_code == 422, order
        assert (await spawner.post("spawn", {"code": "x", "parent_task_id": "spawn-00000000"})).status_code == 404
        assert (await spawner.client.get("/spawner/jobs/spawn-00000000")).status_code == 404
        assert (await spawner.client.get("/spawner/jobs/none")).status_code == 422
        assert (await spawner.client.get("/spawner/jobs")).json() == {"items": [], "next_cursor": None}


async def test_lists_are_newest_first_in_pages_and_by_status(tmp_path: Path) -> None:
    async with spawner_in(tmp_path, cage=ScriptedCage(plays={"bad": [FAILED]})) as spawner:
        made = [(await spawner.ran(code, max_retries=0))["spawn_id"] for code in ("a", "bad", "c")]
        first = (await spawner.client.get("/spawner/jobs?limit=2")).json()
        rest = (await spawner.client.get(f"/spawner/jobs?limit=2&cursor={first['next_cursor']}")).json()
        assert [job["spawn_id"] for job in first["items"] + rest["items"]] == made[::-1]
        failed = (await spawner.client.get("/spawner/jobs?status=ERROR")).json()["items"]
        assert [job["spawn_id"] for job in failed] == [made[1]]


async def test_an_operators_looks_at_others_jobs_are_on_record(tmp_path: Path) -> None:
    async with spawner_in(tmp_path) as spawner:
        ana, oda = spawner.token_of("ana"), spawner.token_of("oda", "operator")
        job = await spawner.spawn("x", headers=ana)
        await spawner.ended(job)
        before = len(spawner.audit())
        for path in ("jobs?user=ana", "jobs?user=*", f"jobs/{job}", f"jobs/{job}/output"):
            for caller in (ana, oda):
                answer = await spawner.client.get(f"/spawner/{path}", headers=caller)
                assert answer.status_code == (404 if caller is ana and "*" in path else 200), path
        stream = await spawner.client.get(f"/spawner/jobs/{job}/output", headers={**oda, "accept": "text/event-stream"})
        assert "event: ended" in stream.text
        looks = [(row.user, row.action, row.target, row.detail) for row in spawner.audit()[before:]]
        read = ("oda", "job.read", job, {"owner": "ana", "override": True})
        assert looks == [
            *[("oda", "job.list", who, {"owner": who, "override": True, "jobs": [job]}) for who in ("ana", "*")],
            read,
            read,
            read,
        ]


async def test_a_users_jobs_are_nobody_elses_but_the_operators(tmp_path: Path) -> None:
    async with spawner_in(tmp_path) as spawner:
        ana, ben, oda = spawner.token_of("ana"), spawner.token_of("ben"), spawner.token_of("oda", "operator")
        mine = await spawner.spawn("hang", headers=ana)
        await spawner.at_work("hang")
        for method, path in (
            ("GET", f"jobs/{mine}"),
            ("GET", f"jobs/{mine}/output"),
            ("POST", f"jobs/{mine}/kill"),
            ("POST", f"execute/{mine}"),
            ("POST", f"heartbeat/{mine}"),
            ("POST", f"complete/{mine}"),
        ):
            answer = await spawner.client.request(method, f"/spawner/{path}", headers=ben)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path
        child = {"code": "x", "parent_task_id": mine}
        assert (await spawner.post("spawn", child, ben)).status_code == 404
        stream = {**ben, "accept": "text/event-stream"}
        assert (await spawner.client.get(f"/spawner/jobs/{mine}/output", headers=stream)).status_code == 404
        assert (await spawner.client.get("/spawner/jobs", headers=ben)).json()["items"] == []
        for whose in ("ana", "*"):
            refused = await spawner.client.get(f"/spawner/jobs?user={whose}", headers=ben)
            assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
        assert (await spawner.client.get("/spawner/jobs", headers=oda)).json()["items"] == []
        assert spawner.cage.at_work == {"hang"}
        killed = await spawner.post(f"jobs/{mine}/kill", headers=oda)
        assert killed.json()["status"] == "KILLED"
        last = spawner.audit()[-1]
        assert (last.action, last.user, last.detail["owner"], last.detail["override"]) == (
            "job.kill", "oda", "ana", True,
        )  # fmt: skip


async def test_the_network_is_the_operators_to_grant(tmp_path: Path) -> None:
    async with spawner_in(tmp_path) as spawner:
        ana, oda = spawner.token_of("ana"), spawner.token_of("oda", "operator")
        refused = await spawner.post("spawn", {"code": "x", "network": True}, ana)
        assert (refused.status_code, refused.json()["code"]) == (403, "role_required")
        job = await spawner.ended(await spawner.spawn("x", headers=oda, network=True))
        assert (job["network"], spawner.cage.seen[0].network) == (True, True)


@pytest.mark.parametrize("promise", [Promise.READING, Promise.WRITING, Promise.PEEKING, Promise.SIGNALS])
async def test_where_daughters_could_read_the_fleet_only_admins_run_them(tmp_path: Path, promise: Promise) -> None:
    weak = ScriptedCage(level=level(promise, rung=Rung.RLIMITS))
    async with spawner_in(tmp_path, cage=weak) as spawner:
        for role in ("user", "operator"):
            refused = await spawner.post("spawn", {"code": "x"}, spawner.token_of(role, role))
            assert (refused.status_code, promise.value in refused.json()["detail"]) == (403, True)
        assert (await spawner.ran("x"))["isolation"] == "rlimits"
        status = (await spawner.client.get("/spawner/status")).json()
        assert (status["isolation"], status["isolation_level"]) == ("rlimits", 1)
        assert [guard["promise"] for guard in status["guards"] if not guard["kept"]] == [promise.value]
    async with spawner_in(tmp_path, cage=ScriptedCage(level=level(promise)), weak_isolation=True) as spawner:
        await spawner.spawn("x", headers=spawner.token_of("ben"))


async def test_a_job_that_waited_is_refused_where_the_cage_has_become_too_weak(tmp_path: Path) -> None:
    async with spawner_in(tmp_path, at_once=1) as spawner:
        ana = spawner.token_of("ana")
        await spawner.spawn("hang")
        await spawner.at_work("hang")
        waiting = await spawner.spawn("x", ana, max_retries=0)
    weak = ScriptedCage(level=level(Promise.READING, rung=Rung.RLIMITS))
    async with spawner_in(tmp_path, cage=weak) as spawner:
        job = await spawner.ended(waiting)
        assert (job["status"], job["attempts"][0]["kind"]) == ("ERROR", "refused")
        assert "reading" in job["error"]
        for headers in (ana, None):  # whoever asks: it would run with its owner's rights
            refused = await spawner.post(f"execute/{waiting}", headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (403, "role_required")
        await spawner.at_work("hang")
        assert [task.argv[-1] for task in spawner.cage.seen] == ["hang"], "an admin's task may"


async def test_names_that_no_answer_can_hold_are_spelt_out_and_a_long_list_ends(tmp_path: Path) -> None:
    changes = tuple(ChangedFile(f"file-{number}", Change.ADDED) for number in range(1200))
    verdicts = [Verdict(Ending.EXITED, exit_code=1, detail="It said \ud800 and \x00.", changed_files=changes)]
    async with spawner_in(tmp_path, cage=ScriptedCage(plays={"dry": verdicts})) as spawner:
        job = await spawner.ran("dry", dry_run=True, max_retries=0)
        assert (len(job["changed_files"]), job["changed_more"]) == (1000, 200)
        assert job["error"] == "It said \\ud800 and \\x00."


async def test_metadata_that_no_answer_can_hold_are_refused(tmp_path: Path) -> None:
    async with spawner_in(tmp_path) as spawner:
        body = b'{"code": "x", "metadata": {"a": "\\ud800"}}'
        headers = {"content-type": "application/json"}
        assert (await spawner.client.post("/spawn", content=body, headers=headers)).status_code == 422


async def test_too_many_jobs_are_told_to_come_back(tmp_path: Path) -> None:
    async with spawner_in(tmp_path, max_waiting=3, max_waiting_per_user=2) as spawner:
        ana, ben = spawner.token_of("ana"), spawner.token_of("ben")
        await spawner.spawn("hang 1", headers=ana)
        await spawner.spawn("hang 2", headers=ana)
        refused = await spawner.post("spawn", {"code": "x"}, ana)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        await spawner.spawn("hang 3", headers=ben)
        assert (await spawner.post("spawn", {"code": "x"}, ben)).status_code == 429


async def test_a_dry_run_shows_what_would_change(tmp_path: Path) -> None:
    changes = (ChangedFile("a.txt", Change.ADDED), ChangedFile("b/c", Change.DELETED))
    verdict = Verdict(Ending.EXITED, exit_code=0, changed_files=changes)
    async with spawner_in(tmp_path, cage=ScriptedCage(plays={"dry": [verdict], "wet": [verdict]})) as spawner:
        job = await spawner.ran("dry", dry_run=True, workspace="notes")
        assert job["changed_files"] == [{"path": "a.txt", "change": "added"}, {"path": "b/c", "change": "deleted"}]
        wet = await spawner.ran("wet", workspace="notes")
        assert wet["changed_files"] is None
        dry_task, wet_task = spawner.cage.seen
        assert (dry_task.dry_run, wet_task.dry_run) == (True, False)
        assert dry_task.folder == wet_task.folder, "a workspace outlives its jobs"
        assert dry_task.folder.is_dir()


async def test_workspaces_of_one_name_are_each_users_own(tmp_path: Path) -> None:
    async with spawner_in(tmp_path) as spawner:
        for user in ("ana", "../ana"):
            await spawner.ended(await spawner.spawn("x", headers=spawner.token_of(user), workspace="w"))
        folders = {task.folder for task in spawner.cage.seen}
        assert len(folders) == 2
        assert {folder.parents[1] for folder in folders} == {tmp_path / "data" / "spawner" / "workspaces"}


async def test_a_heartbeat_tells_how_far_a_job_is(tmp_path: Path) -> None:
    async with spawner_in(tmp_path) as spawner:
        spawn_id = await spawner.spawn("hang")
        await spawner.at_work("hang")
        beaten = await spawner.post(f"heartbeat/{spawn_id}", {"progress": 0.4, "note": "half"})
        assert beaten.json()["progress"] == 0.4
        assert (await spawner.post(f"heartbeat/{spawn_id}")).json()["progress"] == 0.4
        assert [event.data["note"] for event in spawner.events("job.progress")] == ["half", ""]
        spawner.cage.finish("hang")
        assert (await spawner.ended(spawn_id))["progress"] == 1
        assert (await spawner.post(f"heartbeat/{spawn_id}")).status_code == 409


async def test_a_job_may_be_completed_by_its_owner(tmp_path: Path) -> None:
    async with spawner_in(tmp_path, at_once=1) as spawner:
        running, waiting = await spawner.spawn("hang"), await spawner.spawn("never")
        await spawner.at_work("hang")
        done = (await spawner.post(f"complete/{running}", {"result": {"sum": 3}})).json()
        assert (done["status"], done["result"]) == ("DONE", {"sum": 3})
        assert (done["attempts"][0]["status"], done["daughters"][0]["status"]) == ("success", "finished")
        again = await spawner.post(f"complete/{running}", {"result": {"sum": 3}})
        assert again.status_code == 200
        assert (await spawner.post(f"complete/{running}", {"result": {"sum": 4}})).status_code == 409
        await spawner.ended(waiting)


async def test_a_job_that_waits_may_be_completed_too(tmp_path: Path) -> None:
    async with spawner_in(tmp_path, at_once=1) as spawner:
        await spawner.spawn("hang")
        await spawner.at_work("hang")
        waiting = await spawner.spawn("never")
        failed = (await spawner.post(f"complete/{waiting}", {"status": "ERROR", "detail": "not needed"})).json()
        assert (failed["status"], failed["error"], failed["attempts"]) == ("ERROR", "not needed", [])
        assert failed["daughters"][0]["status"] == "failed"


async def family(spawner: Spawner) -> list[str]:
    """Three generations, all hanging."""
    line: list[str] = []
    for number in range(3):
        parent: dict[str, Any] = {"parent_task_id": line[-1]} if line else {}
        line.append(await spawner.spawn(f"hang {number}", **parent))
    await spawner.at_work("hang 0", "hang 1", "hang 2")
    return line


async def test_a_family_knows_its_members_and_has_an_end(tmp_path: Path) -> None:
    async with spawner_in(tmp_path, max_depth=3) as spawner:
        line = await family(spawner)
        youngest = await spawner.job(line[2])
        assert (youngest["ancestors"], youngest["depth"]) == ([line[1], line[0]], 2)
        assert (await spawner.job(line[0]))["children"] == [line[1]]
        too_deep = await spawner.post("spawn", {"code": "x", "parent_task_id": line[2]})
        assert (too_deep.status_code, too_deep.json()["code"]) == (409, "conflict")


async def test_a_kill_takes_all_who_descend(tmp_path: Path) -> None:
    async with spawner_in(tmp_path) as spawner:
        line = await family(spawner)
        killed = (await spawner.post(f"jobs/{line[1]}/kill")).json()
        assert (killed["status"], killed["attempts"][0]["status"]) == ("KILLED", "cancelled")
        assert killed["daughters"][0]["status"] == "killed"
        assert (await spawner.job(line[2]))["status"] == "KILLED"
        assert spawner.cage.at_work == {"hang 0"}
        assert (await spawner.post(f"jobs/{line[1]}/kill")).json()["status"] == "KILLED"
        assert len(spawner.events("job.killed")) == 2
