"""A real fleet of real processes, on ports and in a folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from config.db import Database
from tests.support import databases
from tests.support.eventually import eventually, says_ready
from tests.support.house import ADMIN, ADMIN_HEADERS
from tests.support.ports import free_port_offset

ROOT = Path(__file__).resolve().parents[2]
_START_SEC = 60.0


class Fleet:
    """`python -m config fleet`, what can be asked of it and done to it."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.offset = free_port_offset()
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("VX11_")},
            "VX11_TOKEN": ADMIN,
            "VX11_DATA_PATH": str(folder / "data"),
            "VX11_MODELS_PATH": str(folder / "models"),
            "VX11_PORT_OFFSET": str(self.offset),
            "VX11_POWER_WINDOWS_TTL_CHECK_INTERVAL": "0.1",
            **databases.environment(folder),
            **environment,
        }
        self.process = self._spawn()
        self.http = httpx.AsyncClient(headers=ADMIN_HEADERS, timeout=30)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with (self.folder / "fleet.log").open("ab") as log:
            argv = [sys.executable, "-m", "config", "fleet"]
            return subprocess.Popen(argv, cwd=ROOT, env=self.environment, stdout=log, stderr=log)

    def url(self, port: int) -> str:
        """The base URL of the service whose usual port is `port`."""
        return f"http://127.0.0.1:{port + self.offset}"

    async def ready(self) -> None:
        """Wait until the core can do its job."""
        for port in (8000, 8001):
            await eventually(partial(self.is_ready, port), bool, within_sec=_START_SEC)

    async def is_ready(self, port: int) -> bool:
        """Whether the service on this usual port says so."""
        return await says_ready(self.http, self.url(port))

    async def get(self, path: str, port: int = 8000) -> httpx.Response:
        """GET through the gateway, or straight from another port."""
        return await self.http.get(self.url(port) + path)

    async def power(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask madre herself under /madre/power: GET, or POST where there is a body; the answer must be a success."""
        url = f"{self.url(8001)}/madre/power/{path}"
        answer = await (self.http.get(url) if body is None else self.http.post(url, json=body))
        assert answer.is_success, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def service(self, name: str) -> dict[str, Any]:
        """One service as power sees it; nothing while madre does not answer."""
        try:
            services = (await self.power("state"))["services"]
        except httpx.TransportError:
            return {"state": "unknown"}
        return next(one for one in services if one["name"] == name)

    async def comes_to(self, name: str, state: str, *, within_sec: float = 20) -> dict[str, Any]:
        """Wait until a service is in `state`."""
        return await eventually(lambda: self.service(name), lambda one: one["state"] == state, within_sec=within_sec)

    def pid_of(self, service: str) -> int:
        """The process of a running service, by the name it gave itself."""
        for pid in self.children():
            if Path(f"/proc/{pid}/comm").read_text().strip() == f"vx11:{service}"[:15]:
                return pid
        raise AssertionError(f"{service} does not run")

    def children(self) -> list[int]:
        """The processes of all running services."""
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def log_of(self, service: str) -> str:
        """What a service printed so far."""
        return (self.folder / "data" / "logs" / f"{service}.log").read_text()

    def integrity(self) -> str:
        """The verdict on the database, by the house's own SQLite: an old one must not share a WAL file."""
        database = Database(databases.url_in(self.folder))
        try:
            return database.integrity()
        finally:
            database.close()

    async def close(self) -> None:
        """End the fleet as a person would; by force if that takes too long."""
        await self.http.aclose()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@asynccontextmanager
async def fleet_in(folder: Path, **environment: str) -> AsyncIterator[Fleet]:
    """A fleet that is ready; ended with the block."""
    fleet = Fleet(folder, **environment)
    try:
        await fleet.ready()
        yield fleet
    finally:
        await fleet.close()
