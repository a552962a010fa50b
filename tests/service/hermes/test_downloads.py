"""Pulling over HTTP in every weather."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.support.eventually import eventually
from tests.support.file_server import FileServer, Served, file_server
from tests.support.gguf import gguf_bytes, sha256
from tests.support.hermes import Hermes, hermes_in

MODEL = gguf_bytes(elements=200_000)
PATH = "/dir/Tiny.gguf"


async def test_a_model_is_fetched_verified_registered_and_told_of(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        job = await hermes.pulled(source=server.put(PATH, Served(MODEL)), sha256=sha256(MODEL))
        assert (job["state"], job["phase"], job["error"]) == ("DONE", "finished", None)
        assert job["bytes_done"] == job["bytes_total"] == len(MODEL)
        row = (await hermes.client.get("/hermes/models/tiny")).json()
        assert (row["sha256"], row["size_bytes"], row["path"]) == (sha256(MODEL), len(MODEL), "tiny.gguf")
        assert (row["enabled"], row["compatibility"], row["task_type"], row["max_context"]) == (True, "ok", "chat", 512)
        assert hermes.files() == {"tiny.gguf"}
        assert (hermes.models / "tiny.gguf").read_bytes() == MODEL
        types = [event.type for event in hermes.events("") if event.type != "job.progress"]
        assert types == ["job.pending", "job.running", "model.registered", "job.done"]


async def test_a_cut_connection_is_continued_where_it_broke(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        served = Served(MODEL, cuts=[300_000, 100_000])
        job = await hermes.pulled(source=server.put(PATH, served), sha256=sha256(MODEL))
        assert job["state"] == "DONE", job
        assert (hermes.models / "tiny.gguf").read_bytes() == MODEL
        asked = [request.get("range") for request in served.requests]
        assert asked[0] is None
        assert len(asked) == 3
        assert all(first and first.startswith("bytes=") for first in asked[1:])


async def test_a_server_that_ignores_ranges_sends_it_all_again(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        served = Served(MODEL, ranges=False, cuts=[300_000])
        job = await hermes.pulled(source=server.put(PATH, served), sha256=sha256(MODEL))
        assert job["state"] == "DONE", job
        assert (hermes.models / "tiny.gguf").read_bytes() == MODEL


async def test_a_file_that_changes_in_the_middle_is_fetched_anew(tmp_path: Path) -> None:
    other = gguf_bytes(elements=200_000, salt=7)
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        served = Served(MODEL, cuts=[300_000], afterwards=(other, '"two"'))
        job = await hermes.pulled(source=server.put(PATH, served))
        assert job["state"] == "DONE"
        assert served.requests[1]["if-range"] == '"one"'
        assert (hermes.models / "tiny.gguf").read_bytes() == other


async def test_a_server_that_ignores_if_range_is_caught_by_the_hash(tmp_path: Path) -> None:
    other = gguf_bytes(elements=200_000, salt=7)
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        served = Served(MODEL, if_range=False, cuts=[300_000], afterwards=(other, '"two"'))
        job = await hermes.pulled(source=server.put(PATH, served), sha256=sha256(MODEL))
        assert (job["state"], job["error"]["code"]) == ("ERROR", "bad_model_file")
        assert await hermes.names() == []


async def test_a_body_shorter_than_announced_is_not_taken_for_the_file(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        served = Served(MODEL, declared=len(MODEL) + 500, ranges=False)
        job = await hermes.pulled(source=server.put(PATH, served))
        assert (job["state"], job["error"]["code"]) == ("ERROR", "unavailable")
        assert "Given up" in job["error"]["detail"]
        assert await hermes.names() == []


async def test_a_body_without_a_length_is_checked_by_its_own_header(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        whole = await hermes.pulled(source=server.put("/whole.gguf", Served(MODEL, length=False)))
        assert whole["state"] == "DONE"
        cut = await hermes.pulled(source=server.put("/cut.gguf", Served(MODEL, length=False, cuts=[300_000])))
        assert (cut["state"], cut["error"]["code"]) == ("ERROR", "bad_model_file")
        assert "cut off" in cut["error"]["detail"]
        assert "quarantine/cut.gguf" in hermes.files()


async def test_a_wrong_hash_is_refused_and_put_aside(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        job = await hermes.pulled(source=server.put(PATH, Served(MODEL)), sha256="0" * 64)
        assert (job["state"], job["error"]["code"]) == ("ERROR", "bad_model_file")
        assert job["error"]["extra"]["expected_sha256"] == "0" * 64
        assert job["error"]["extra"]["actual_sha256"] == sha256(MODEL)
        assert job["error"]["extra"]["quarantined"] == "quarantine/tiny.gguf"
        assert hermes.files() == {"quarantine/tiny.gguf", "quarantine/tiny.gguf.reason.txt"}
        assert sha256(MODEL) in (hermes.models / "quarantine/tiny.gguf.reason.txt").read_text()
        assert await hermes.names() == []
        assert [event.severity for event in hermes.events("model.quarantined")] == ["warning"]


async def test_a_web_page_in_place_of_a_file_stops_at_its_first_bytes(tmp_path: Path) -> None:
    page = b"<!DOCTYPE html>" + b"x" * 2_000_000
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        job = await hermes.pulled(source=server.put(PATH, Served(page, content_type="text/html")))
        assert (job["state"], job["error"]["code"]) == ("ERROR", "bad_model_file")
        assert "DOCTYPE" in job["error"]["detail"]
        assert (server.files[PATH].requests, hermes.files()) == ([], set())


async def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        job = await hermes.pulled(source=server.put(PATH, Served(b"")))
        assert (job["state"], job["error"]["code"]) == ("ERROR", "bad_model_file")
        assert "empty" in job["error"]["detail"]


async def test_a_missing_file_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        job = await hermes.pulled(source=server.url + "/nowhere.gguf")
        assert (job["state"], job["error"]["code"]) == ("ERROR", "not_found")
        assert hermes.files() == set()


async def test_a_busy_server_is_asked_again(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        served = Served(MODEL, statuses=[503, 429])
        job = await hermes.pulled(source=server.put(PATH, served))
        assert job["state"] == "DONE"
        assert len(served.requests) == 3


async def test_a_server_that_stays_down_ends_the_job_and_a_new_pull_continues(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        served = Served(MODEL, cuts=[300_000, 0, 0, 0, 0])
        source = server.put(PATH, served)
        job = await hermes.pulled(source=source)
        assert (job["state"], job["error"]["code"]) == ("ERROR", "unavailable")
        assert "continues after the" in job["error"]["hint"]
        served.requests.clear()
        assert (await hermes.pulled(source=source))["state"] == "DONE"
        assert served.requests[0]["range"].startswith("bytes=")


async def test_a_redirect_away_from_tls_is_refused(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        elsewhere = Served(b"", status=302, headers={"Location": server.url.replace("127.0.0.1", "127.0.0.2") + PATH})
        server.put(PATH, Served(MODEL))
        job = await hermes.pulled(source=server.put("/moved.gguf", elsewhere))
        assert (job["state"], job["error"]["code"]) == ("ERROR", "bad_peer")
        assert server.files[PATH].requests == []
        assert await hermes.names() == []


async def test_a_redirect_to_a_safe_place_is_followed(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        there = server.put(PATH, Served(MODEL))
        moved = Served(b"", status=302, headers={"Location": there})
        job = await hermes.pulled(source=server.put("/moved.gguf", moved))
        assert (job["state"], job["name"]) == ("DONE", "moved")


async def test_an_address_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        nowhere = Served(b"", status=302, headers={"Location": "https://xn--/m.gguf"})
        for source in ("https://xn--/m.gguf", server.put(PATH, nowhere)):
            job = await hermes.pulled(source=source)
            assert job["state"] == "ERROR"
            assert job["error"]["code"] == "bad_peer"


async def test_a_redirect_in_circles_ends(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        circle = Served(b"", status=302, headers={"Location": server.url + PATH})
        job = await hermes.pulled(source=server.put(PATH, circle))
        assert (job["state"], job["error"]["code"]) == ("ERROR", "bad_peer")


async def test_cancelling_stops_at_once_and_keeps_what_came(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        served = Served(MODEL, hold_at=300_000)
        job = await _held(hermes, server, served)
        cancelled = (await hermes.client.post(f"/hermes/jobs/{job['job_id']}/cancel")).json()
        assert cancelled["state"] == "CANCELLED"
        assert cancelled["finished_at"] is not None
        again = await hermes.client.post(f"/hermes/jobs/{job['job_id']}/cancel")
        assert again.json()["state"] == "CANCELLED"
        assert hermes.house.work.in_progress == 0
        assert any(name.endswith("model.partial") for name in hermes.files())
        served.release.set()
        assert (await hermes.pulled(source=server.url + PATH))["state"] == "DONE"
        assert served.requests[-1]["range"].startswith("bytes=")


async def test_a_job_that_has_ended_cannot_be_cancelled(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        job = await hermes.pulled(source=server.put(PATH, Served(MODEL)))
        answer = await hermes.client.post(f"/hermes/jobs/{job['job_id']}/cancel")
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert (await hermes.client.post("/hermes/jobs/pull-none/cancel")).status_code == 404


async def test_a_download_counts_as_work_so_that_power_leaves_hermes_alone(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        served = Served(MODEL, hold_at=100_000)
        job = await _held(hermes, server, served)
        health = (await hermes.client.get("/health")).json()
        assert (health["checks"]["work_in_progress"], health["checks"]["downloads"]) == (1, 1)
        served.release.set()
        await hermes.ended(job["job_id"])

        async def at_work() -> int:
            return int((await hermes.client.get("/health")).json()["checks"]["work_in_progress"])

        await eventually(at_work, lambda doing: doing == 0)  # its row says that it is done a moment before it is left


async def test_the_same_model_pulled_twice_at_once_is_one_job(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        served = Served(MODEL)
        source = server.put(PATH, served)
        first, second = await asyncio.gather(hermes.start(source=source), hermes.start(source=source))
        assert first["job_id"] == second["job_id"]
        await hermes.ended(first["job_id"])
        assert len(served.requests) == 1
        assert len((await hermes.client.get("/hermes/jobs")).json()["items"]) == 1


async def test_one_name_from_two_sources_at_once_is_a_conflict(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        served = Served(MODEL, hold_at=100_000)
        await _held(hermes, server, served)
        other = server.put("/other.gguf", Served(gguf_bytes(salt=1)))
        answer = await hermes.client.post("/hermes/models/pull", json={"name": "tiny", "source": other})
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        served.release.set()


async def test_a_model_that_is_here_is_done_at_once(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        served = Served(MODEL)
        source = server.put(PATH, served)
        await hermes.pulled(source=source)
        again = await hermes.start(source=source)
        assert (again["state"], again["bytes_done"]) == ("DONE", len(MODEL))
        assert len(served.requests) == 1
        other = await hermes.client.post(
            "/hermes/models/pull", json={"name": "tiny", "source": server.put("/o.gguf", Served(gguf_bytes(salt=3)))}
        )
        assert (other.status_code, other.json()["code"]) == (409, "conflict")


async def test_the_same_bytes_are_not_stored_twice(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        await hermes.pulled(source=server.put(PATH, Served(MODEL)))
        await hermes.pulled(source=server.put("/copy.gguf", Served(MODEL)))
        mirror = Served(MODEL)
        await hermes.pulled(source=server.put("/mirror.gguf", mirror), sha256=sha256(MODEL))
        assert mirror.requests == []
        assert sorted(await hermes.names()) == ["copy", "mirror", "tiny"]
        assert hermes.files() == {"tiny.gguf"}
        assert (await hermes.client.get("/hermes/resources")).json()["models_bytes"] == len(MODEL)


async def test_no_more_downloads_run_at_once_than_allowed(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        held = [Served(gguf_bytes(salt=number), hold_at=100) for number in range(3)]
        jobs = [await hermes.start(source=server.put(f"/m{n}.gguf", served)) for n, served in enumerate(held)]
        await held[0].held.wait()
        await held[1].held.wait()
        third = await hermes.job(jobs[2]["job_id"])
        assert (third["state"], third["phase"], held[2].requests) == ("PENDING", "queued", [])
        for served in held:
            served.release.set()
        assert [(await hermes.ended(job["job_id"]))["state"] for job in jobs] == ["DONE"] * 3


async def test_progress_is_told_in_the_job_and_in_events(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        served = Served(MODEL, hold_at=400_000)
        job = await _held(hermes, server, served)
        seen = await eventually(lambda: hermes.job(job["job_id"]), lambda seen: seen["bytes_done"] > 0)
        assert (seen["state"], seen["phase"], seen["bytes_total"]) == ("RUNNING", "downloading", len(MODEL))
        served.release.set()
        await hermes.ended(job["job_id"])
        told = hermes.events("job.progress")
        assert told
        assert told[0].data["job_id"] == job["job_id"]
        assert told[0].correlation_id == job["correlation_id"]


async def test_a_stopped_hermes_goes_on_where_it_was(tmp_path: Path) -> None:
    async with file_server() as server:
        served = Served(MODEL, hold_at=300_000)
        async with hermes_in(tmp_path) as hermes:
            job = await _held(hermes, server, served)
        served.release.set()
        async with hermes_in(tmp_path) as hermes:
            assert (await hermes.ended(job["job_id"]))["state"] == "DONE"
            assert served.requests[-1]["range"].startswith("bytes=")
            assert (hermes.models / "tiny.gguf").read_bytes() == MODEL


async def test_the_lists_of_jobs_come_in_pages(tmp_path: Path) -> None:
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        for number in range(3):
            await hermes.pulled(source=server.put(f"/m{number}.gguf", Served(gguf_bytes(salt=number))))
        first = (await hermes.client.get("/hermes/jobs?limit=2")).json()
        rest = (await hermes.client.get(f"/hermes/jobs?limit=2&cursor={first['next_cursor']}")).json()
        assert [job["name"] for job in first["items"] + rest["items"]] == ["m2", "m1", "m0"]
        assert rest["next_cursor"] is None
        models = (await hermes.client.get("/hermes/models?limit=2")).json()
        more = (await hermes.client.get(f"/hermes/models?limit=2&cursor={models['next_cursor']}")).json()
        assert [row["name"] for row in models["items"] + more["items"]] == ["m2", "m1", "m0"]
        assert (await hermes.client.get("/hermes/jobs?cursor=nonsense")).status_code == 422


async def _held(hermes: Hermes, server: FileServer, served: Served) -> dict[str, Any]:
    """A job that has begun and waits for a server that stopped sending."""
    job = await hermes.start(source=server.put(PATH, served))
    await served.held.wait()
    await eventually(lambda: hermes.job(job["job_id"]), lambda seen: seen["bytes_done"] > 0)
    return job


async def test_a_file_that_changes_between_look_and_download_is_looked_at_again(tmp_path: Path) -> None:
    other = gguf_bytes(elements=100_000, salt=7)
    async with file_server() as server, hermes_in(tmp_path) as hermes:
        served = Served(MODEL, after_look=(other, '"two"'))
        job = await hermes.pulled(source=server.put(PATH, served))
        assert job["state"] == "DONE", job
        assert (len(served.looks), len(served.requests)) == (2, 2)
        assert (hermes.models / "tiny.gguf").read_bytes() == other
