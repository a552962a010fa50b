"""The fleet in its real images, as `docker compose up` starts it: a project, ports and volumes of its own."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import httpx

from config.services import FLEET, present_services
from scripts.cli.images import build_images
from tests.support.chats import FILES
from tests.support.containers import run
from tests.support.eventually import eventually, says_ready
from tests.support.house import ADMIN, ADMIN_HEADERS
from tests.support.ports import is_free
from tests.support.worker import model_file

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
USER = "10001"
UP_SEC = 240.0


class DockerFleet:
    """One project of the real compose file; `settings` are environment variables, as a person sets them."""

    def __init__(self, *overlays: Path, **settings: str) -> None:
        self.project = f"vx11-test-{secrets.token_hex(4)}"
        self.prefix = free_port_prefix()
        self._files = [word for file in (FILE, *overlays) for word in ("-f", str(file))]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VX11_")}
        self.environment = {**kept, "VX11_TOKEN": ADMIN, "VX11_PORT_PREFIX": self.prefix, **settings}
        self.http = httpx.AsyncClient(headers=ADMIN_HEADERS, timeout=60)

    def url(self, port: int) -> str:
        """The base URL of the service whose usual port is `port`."""
        return f"http://127.0.0.1:{self.prefix}{port % 100:02}"

    async def compose(self, *arguments: str) -> str:
        """Run `docker compose` on the project by hand; what it printed."""
        files = ["--env-file", os.devnull, *self._files]  # not the .env of whoever runs the tests
        return await run("docker", "compose", "-p", self.project, *files, *arguments, environment=self.environment)

    async def up(self, *services: str) -> None:
        """Bring services up, all if none is named, and wait until they are ready."""
        await self.compose("up", "-d", "--no-build", *services)
        for service in services or [present.name for present in present_services()]:
            await eventually(partial(self.is_ready, service), bool, within_sec=UP_SEC)

    async def is_ready(self, service: str) -> bool:
        """Whether the service itself says so."""
        return await says_ready(self.http, self.url(FLEET[service].port))

    async def keep_data_on(self, megabytes: int) -> None:
        """Have the data volume be a small disk of its own, made before Compose would make it. It lasts while any
        container uses it."""
        disk = ("--driver", "local", "--opt", "type=tmpfs", "--opt", "device=tmpfs")
        owned = f"size={megabytes}m,mode=0700,uid={USER},gid={USER}"
        labels = (f"com.docker.compose.project={self.project}", "com.docker.compose.volume=data")
        flags = [word for label in labels for word in ("--label", label)]
        await run("docker", "volume", "create", *disk, "--opt", f"o={owned}", *flags, f"{self.project}_data")

    async def close(self) -> None:
        """Remove every container, network and volume of the project."""
        await self.http.aclose()
        await self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")

    async def shelve(self, *models: str) -> None:
        """Put the files of these models on the volume, as hermes would leave them, and have them registered."""
        for name in models:
            file = model_file(FILES[name]).resolve()
            mounts = ["-v", f"{self.project}_models:/models", "-v", f"{file}:/file:ro"]
            copy = ["--entrypoint", "cp", "vx11-core", "/file", f"/models/{name}.gguf"]
            await run("docker", "run", "--rm", "--user", USER, *mounts, *copy)
        answer = await self.http.post(self.url(8000) + "/hermes/scan")
        assert {found["name"] for found in answer.json()["registered"]} == set(models), answer.text

    async def get(self, path: str, port: int = 8000) -> httpx.Response:
        """GET through the gateway, or straight from another port."""
        return await self.http.get(self.url(port) + path)

    async def post(self, path: str, body: Mapping[str, Any] | None = None, port: int = 8000) -> httpx.Response:
        """POST through the gateway, or straight to another port."""
        return await self.http.post(self.url(port) + path, json=body)

    async def power(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask madre herself under /madre/power: GET, or POST where there is a body; the answer must be a success."""
        whole = f"/madre/power/{path}"
        answer = await (self.get(whole, 8001) if body is None else self.post(whole, body, 8001))
        assert answer.is_success, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def state_of(self, service: str) -> str:
        """One service as power sees it."""
        services = (await self.power("state"))["services"]
        return str(next(one for one in services if one["name"] == service)["state"])

    async def comes_to(self, service: str, state: str, *, within_sec: float = 30) -> None:
        """Wait until power sees a service in `state`."""
        await eventually(lambda: self.state_of(service), lambda seen: seen == state, within_sec=within_sec)

    async def running(self) -> set[str]:
        """The services whose containers run now, as the engine tells."""
        return set((await self.compose("ps", "--services", "--status", "running")).split())

    async def inspect(self, service: str) -> dict[str, Any]:
        """What the engine knows of the container of `service`."""
        container = (await self.compose("ps", "--all", "--quiet", service)).strip()
        return await inspected(container)


async def inspected(name: str) -> dict[str, Any]:
    """What the engine knows of a container or an image."""
    [found] = json.loads(await run("docker", "inspect", name))
    return found  # type: ignore[no-any-return]


def free_port_prefix() -> str:
    """The first digits of ports that are all free now: `123` for 12300 to 12399, below those given to clients."""
    for _ in range(200):
        prefix = str(random.randrange(101, 327))
        if all(is_free(int(f"{prefix}{service.port % 100:02}")) for service in FLEET.values()):
            return prefix
    raise AssertionError("no free range of ports on loopback")


@cache
def images() -> None:
    """The images as the tree is now: built where they are not, once in a run of tests."""
    build_images(ROOT, os.environ)


@asynccontextmanager
async def docker_fleet(*models: str, data_mb: int = 0, **settings: str) -> AsyncIterator[DockerFleet]:
    """A fleet of containers, all ready, with these models registered; removed with the block.

    With `data_mb` its data are on a disk of that size.
    """
    await asyncio.to_thread(images)
    fleet = DockerFleet(**settings)
    try:
        if data_mb:
            await fleet.keep_data_on(data_mb)
        await fleet.up()
        if models:
            await fleet.shelve(*models)
        yield fleet
    except (AssertionError, subprocess.SubprocessError):
        print(await fleet.compose("logs", "--no-color", "--tail", "40"))
        raise
    finally:
        await fleet.close()
