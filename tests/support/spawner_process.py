"""A real spawner in a process of its own, to be killed: `python -m tests.support.spawner_process <folder> <port>`.

Nothing of it is otherwise than in a fleet, but that its tables were made from the metadata and that it is not forked.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from config.settings import SpawnerSettings
from spawner.app import create
from tests.support.eventually import eventually
from tests.support.house import ADMIN_HEADERS, house_in
from tests.support.server import served

ROOT = Path(__file__).resolve().parents[2]
_START_SEC = 60.0


@dataclass
class Process:
    """The process, and what is asked of it."""

    folder: Path
    port: int
    client: httpx.AsyncClient
    process: subprocess.Popen[bytes]

    async def job(self, spawn_id: str) -> dict[str, Any]:
        """A job as it stands."""
        return (await self.client.get(f"/spawner/jobs/{spawn_id}")).json()  # type: ignore[no-any-return]

    async def spawn(self, code: str, **order: Any) -> str:
        """Have a job taken on; its id."""
        answer = await self.client.post("/spawn", json={"code": code, **order})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["spawn_id"])

    async def comes_to(self, spawn_id: str, *status: str) -> dict[str, Any]:
        """A job once it has one of these statuses."""
        return await eventually(lambda: self.job(spawn_id), lambda job: job["status"] in status, within_sec=40)

    async def says(self, spawn_id: str, lines: int) -> list[str]:
        """The first lines of a job's newest attempt, once there are so many."""

        async def look() -> list[str]:
            text: str = (await self.client.get(f"/spawner/jobs/{spawn_id}/output")).json()["text"]
            return text.splitlines() if text.endswith("\n") else text.splitlines()[:-1]

        return await eventually(look, lambda said: len(said) >= lines, within_sec=40)

    async def die(self) -> None:
        """`kill -9`."""
        self.process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(self.process.wait)

    async def live_again(self) -> None:
        """Another life; returns once it is ready."""
        self.process = _begun(self.folder, self.port)
        await self.ready()

    async def ready(self) -> None:
        """Return once it can do its job."""

        async def look() -> bool:
            assert self.process.poll() is None, (self.folder / "spawner.log").read_text()
            try:
                return (await self.client.get("/ready")).is_success
            except httpx.TransportError:
                return False

        await eventually(look, bool, within_sec=_START_SEC)


def _begun(folder: Path, port: int) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "tests.support.spawner_process", str(folder), str(port)]
    with (folder / "spawner.log").open("ab") as log:
        return subprocess.Popen(argv, cwd=ROOT, stdout=log, stderr=log)


@asynccontextmanager
async def spawner_process(folder: Path, port: int) -> AsyncIterator[Process]:
    """A spawner that is ready; ended as a person would, with the block."""
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=url, headers=ADMIN_HEADERS, timeout=30) as client:
        life = Process(folder, port, client, _begun(folder, port))
        try:
            await life.ready()
            yield life
        finally:
            life.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(life.process.wait)


async def _live(folder: Path, port: int) -> None:
    house = house_in(folder, "spawner", port_offset=port - 8008, spawner=SpawnerSettings(backoff_sec=0))
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with served(create(house, tick_sec=0.05), port=port):
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(_live(Path(sys.argv[1]), int(sys.argv[2])))
    os._exit(0)  # no thread of the database is waited for
