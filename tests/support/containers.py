"""A Compose project whose small containers stand for the house's services, with a name and ports of its own.

What they run is `small_service.py`, in the very base image of the Dockerfile, so nothing is built. The compose file is
derived from the house's table, as the real one is.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from config.services import CORE, Service, present_services
from config.settings import PowerSettings
from madre.adapters.compose import ComposeDriver, compose_driver
from tests.support.fleet import Fleet, fleet_in
from tests.support.house import house_in

IMAGE = "python:3.13-slim-trixie"
SOCKET = "/var/run/docker.sock"
GRACE = "1s"
_CODE = (Path(__file__).parent / "small_service.py").read_text()


def engine_is_there() -> bool:
    """Whether somebody listens at the engine's socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(SOCKET)
        except OSError:
            return False
    return True


# Under CI the engine must be there: its absence is a failure, not a reason to skip.
needs_engine = pytest.mark.skipif(
    "CI" not in os.environ and not engine_is_there(), reason="no Docker engine listens here"
)


class Containers:
    """One project of small containers; `behaviour` by service name is what `small_service.py` takes."""

    def __init__(self, folder: Path, **behaviour: str) -> None:
        self.file = folder / "docker-compose.json"
        self.project = f"vx11-test-{secrets.token_hex(4)}"
        self.declared: dict[str, Any] = {
            service.name: _declared(service, behaviour.get(service.name)) for service in present_services()
        }

    def write(self, offset: int | None = None) -> None:
        """Write the compose file; with `offset`, sleeping services are published where a fleet looks for them."""
        for service in present_services() if offset is not None else ():
            if service.sleeps:
                self.declared[service.name]["ports"] = [f"127.0.0.1:{service.port + offset}:{service.port}"]
        self.file.write_text(json.dumps({"services": self.declared}).replace("$", "$$"))

    async def compose(self, *arguments: str) -> str:
        """Run `docker compose` on the project by hand."""
        return await run("docker", "compose", "-p", self.project, "-f", str(self.file), *arguments)

    async def up(self, *services: str) -> None:
        """Bring services up by hand."""
        await self.compose("up", "-d", "--pull", "never", "--no-deps", *services)

    async def ids(self, *, also_ended: bool = True) -> dict[str, str]:
        """The container of each service."""
        form = '{{.ID}} {{.Label "com.docker.compose.service"}}'
        label = f"label=com.docker.compose.project={self.project}"
        listed = await run("docker", "ps", *(["-a"] if also_ended else []), "--filter", label, "--format", form)
        return {service: container for container, service in (line.split() for line in listed.splitlines())}

    async def down(self) -> None:
        """Remove every container, network and volume of the project."""
        await self.compose("down", "-v", "-t", "0")

    def power(self, engine: str = f"unix://{SOCKET}") -> PowerSettings:
        """The settings of a madre that runs this project."""
        return PowerSettings(driver="compose", project=self.project, compose_file=self.file, engine=engine)

    def environment(self, engine: str = f"unix://{SOCKET}") -> dict[str, str]:
        """The same as environment variables."""
        return {
            "VX11_POWER_DRIVER": "compose",
            "VX11_POWER_PROJECT": self.project,
            "VX11_POWER_COMPOSE_FILE": str(self.file),
            "VX11_POWER_ENGINE": engine,
        }


def _declared(service: Service, behaviour: str | None) -> dict[str, Any]:
    words = behaviour.split() if behaviour else []
    return {
        "image": IMAGE,
        "command": ["python3", "-c", _CODE, service.name, str(service.port), *words],
        "init": True,
        "restart": "no",
        "stop_grace_period": GRACE,
        "mem_limit": "64m",
        "memswap_limit": "64m",
    }


async def run(*argv: str, environment: Mapping[str, str] | None = None) -> str:
    """Run a program that must succeed; what it printed."""
    done = await asyncio.to_thread(
        subprocess.run, argv, capture_output=True, text=True, env=None if environment is None else dict(environment)
    )
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


@asynccontextmanager
async def containers_in(folder: Path, **behaviour: str) -> AsyncIterator[Containers]:
    """A project in `folder` whose core runs; removed with the block."""
    containers = Containers(folder, **behaviour)
    containers.write()
    try:
        await containers.up(*CORE)
        yield containers
    finally:
        await containers.down()


@asynccontextmanager
async def driver_on(
    containers: Containers, folder: Path, engine: str = f"unix://{SOCKET}"
) -> AsyncIterator[ComposeDriver]:
    """The compose driver on a project."""
    house = house_in(folder, "madre", power=containers.power(engine))
    driver = compose_driver(house.settings.power, house.clients)
    try:
        async with driver.running():
            yield driver
    finally:
        await house.clients.close()
        house.db.close()


@asynccontextmanager
async def fleet_on_containers(
    folder: Path, *, engine: str = f"unix://{SOCKET}", settings: Mapping[str, str] | None = None, **behaviour: str
) -> AsyncIterator[tuple[Fleet, Containers]]:
    """A fleet whose core are processes of this host and whose other services are containers."""
    containers = Containers(folder, **behaviour)
    try:
        async with fleet_in(folder, **containers.environment(engine), **(settings or {})) as fleet:
            containers.write(fleet.offset)
            yield fleet, containers
    finally:
        await containers.down()
