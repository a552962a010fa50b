"""What daughters say, while they say it and afterwards."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from tests.support.clock import ManualClock
from tests.support.spawner import FAILED, ScriptedCage, Spawner, patiently, spawner_in


async def test_output_is_read_while_the_job_runs_and_from_any_byte(tmp_path: Path) -> None:
    async with spawner_in(tmp_path) as spawner:
        spawn_id = await spawner.spawn("hang ñ")
        await spawner.at_work("hang ñ")
        piece = (await spawner.client.get(f"/spawner/jobs/{spawn_id}/output")).json()
        assert (piece["text"], piece["next_offset"], piece["total_bytes"]) == ("hang ñ\n", 8, 8)
        assert (piece["ended"], piece["job_status"], piece["attempt"]) == (False, "RUNNING", 1)
        spawner.cage.finish("hang ñ")
        await spawner.ended(spawn_id)
        rest = (await spawner.client.get(f"/spawner/jobs/{spawn_id}/output?offset=5")).json()
        assert (rest["text"], rest["omitted_bytes"], rest["ended"]) == ("ñ\n", 0, True)


async def test_every_try_has_an_output_of_its_own(tmp_path: Path) -> None:
    async with spawner_in(tmp_path, cage=ScriptedCage(plays={"x": [FAILED]})) as spawner:
        job = await spawner.ran("x", alternatives=[{"code": "y"}])
        path = f"/spawner/jobs/{job['spawn_id']}/output"
        pieces = [await spawner.client.get(path + query) for query in ("", "?attempt=1", "?attempt=2")]
        assert [piece.json()["text"] for piece in pieces] == ["y\n", "x\n", "y\n"]
        none = await spawner.client.get(f"{path}?attempt=3")
        assert none.status_code == 404


async def streamed(spawner: Spawner, spawn_id: str, **headers: str) -> list[tuple[str, str, dict[str, Any]]]:
    """All events of a stream: id, type, data."""
    accept = {"accept": "text/event-stream", **headers}
    answer = await spawner.client.get(f"/spawner/jobs/{spawn_id}/output", headers=accept)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = []
    for frame in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in frame.splitlines() if not line.startswith((":", "retry")))
        if fields:
            events.append((fields["id"], fields["event"], json.loads(fields["data"])))
    return events


async def test_output_is_streamed_through_all_tries_until_the_job_has_ended(tmp_path: Path) -> None:
    async with spawner_in(tmp_path, cage=ScriptedCage(plays={"x": [FAILED]})) as spawner:
        spawn_id = await spawner.spawn("x", alternatives=[{"code": "hang"}])
        await spawner.at_work("hang")
        reading = asyncio.create_task(streamed(spawner, spawn_id))
        await asyncio.sleep(0)
        spawner.cage.finish("hang")
        events = await reading
        assert [(identifier, kind) for identifier, kind, _ in events] == [
            ("1-2", "output"),
            ("2-5", "output"),
            ("2-5", "ended"),
        ]
        assert [data["text"] for _, kind, data in events if kind == "output"] == ["x\n", "hang\n"]
        assert events[-1][2] == {"spawn_id": spawn_id, "status": "DONE"}
        resumed = await streamed(spawner, spawn_id, **{"last-event-id": "1-2"})
        assert [identifier for identifier, _, _ in resumed] == ["2-5", "2-5"]
        assert [kind for _, kind, _ in await streamed(spawner, spawn_id, **{"last-event-id": "2-5"})] == ["ended"]


async def test_a_job_that_never_ran_has_nothing_to_say(tmp_path: Path) -> None:
    async with spawner_in(tmp_path, at_once=1) as spawner:
        await spawner.spawn("hang")
        waiting = await spawner.spawn("never")
        piece = (await spawner.client.get(f"/spawner/jobs/{waiting}/output")).json()
        assert (piece["text"], piece["attempt_id"], piece["ended"]) == ("", None, False)
        await spawner.post(f"jobs/{waiting}/kill")
        assert [kind for _, kind, _ in await streamed(spawner, waiting)] == ["ended"]


async def test_folders_of_old_jobs_are_removed_and_their_rows_stay(tmp_path: Path) -> None:
    clock = ManualClock()
    async with spawner_in(tmp_path, clock=clock, keep_days=7) as spawner:
        old = await spawner.ran("old")
        clock.advance(7 * 86_400 + 1)
        await spawner.ran("young")
        folder = tmp_path / "data" / "spawner" / "jobs"
        assert len(list(folder.iterdir())) == 2
    async with spawner_in(tmp_path, clock=clock, keep_days=7) as spawner:

        async def left() -> int:
            return len(list(folder.iterdir()))

        await patiently(left, lambda count: count == 1)
        assert (await spawner.job(old["spawn_id"]))["output_tail"] == ""


async def test_what_is_said_is_told_as_events_every_two_seconds(tmp_path: Path) -> None:
    clock = ManualClock()
    async with spawner_in(tmp_path, clock=clock) as spawner:
        spawn_id = await spawner.spawn("hang 🜁", trace_id="t-1")
        await spawner.at_work("hang 🜁")
        clock.advance(2)

        async def told() -> list[Any]:
            return spawner.events("job.output")

        [event] = await patiently(told, bool)
        assert (event.data["job_id"], event.data["text"], event.data["total_bytes"]) == (spawn_id, "hang 🜁\n", 10)
        assert event.correlation_id == "t-1"
        folder = tmp_path / "data" / "spawner" / "jobs" / spawn_id / "1" / "output"
        with (folder / f"{0:016d}").open("ab") as file:
            file.write(b"\x01" * 9000)
        clock.advance(2)
        [_, large] = await patiently(told, lambda events: len(events) == 2)
        assert large.data["total_bytes"] == 9010
        assert set(large.data["text"]) == {"\x01"}
