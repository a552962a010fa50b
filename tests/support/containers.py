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
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from config.services import CORE, Service, present_services
from config.settings import PowerSettings
from madre.adapters.compose import ComposeDriver, compose_driver
from tests.support.eventually import eventually
from tests.support.fleet import ROOT, Fleet, fleet_in
from tests.support.house import house_in

IMAGE = "python:3.13-slim-trixie"
SOCKET = "/var/run/docker.sock"
ENGINE = f"unix://{SOCKET}"
GRACE = "1s"
CODE = (Path(__file__).parent / "small_service.py").read_text()


def listens(path: str) -> bool:
    """Whether somebody listens at a Unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


# Under CI the engine must be there: its absence is a failure, not a reason to skip.
needs_engine = pytest.mark.skipif(
    "CI" not in os.environ and not listens(SOCKET), reason="no Docker engine listens here"
)


class Containers:
    """One project of small containers at the engine `host`; `behaviour` by service is what `small_service.py` takes."""

    def __init__(self, folder: Path, *, host: str = ENGINE, **behaviour: str) -> None:
        self._environment = {**os.environ, "DOCKER_HOST": host}
        self.file = folder / "docker-compose.json"
        self.project = f"vx11-test-{secrets.token_hex(4)}"
        self.declared: dict[str, Any] = {
            service.name: _declared(service, behaviour.get(service.name)) for service in present_services()
        }

    def write(self, offset: int | None = None) -> None:
        """Write the compose file; with `offset`, sleeping services are published where a fleet looks for them."""
        for service in present_services():
            if offset is not None and service.sleeps:
                self.declared[service.name]["ports"] = [f"127.0.0.1:{service.port + offset}:{service.port}"]
        self.file.write_text(json.dumps({"services": self.declared}).replace("$", "$$"))

    async def compose(self, *arguments: str) -> str:
        """Run `docker compose` on the project by hand."""
        argv = ("docker", "compose", "-p", self.project, "-f", str(self.file), *arguments)
        return await run(*argv, environment=self._environment)

    async def up(self, *services: str) -> None:
        """Bring services up by hand."""
        await self.compose("up", "-d", "--pull", "never", "--no-deps", *services)

    async def ids(self, *, also_ended: bool = True) -> dict[str, str]:
        """The container of each service."""
        form = '{{.ID}} {{.Label "com.docker.compose.service"}}'
        label = f"label=com.docker.compose.project={self.project}"
        argv = ("docker", "ps", *(["-a"] if also_ended else []), "--filter", label, "--format", form)
        listed = await run(*argv, environment=self._environment)
        return {service: container for container, service in (line.split() for line in listed.splitlines())}

    async def down(self) -> None:
        """Remove every container, network and volume of the project."""
        await self.compose("down", "-v", "-t", "0", "--remove-orphans")  # what `run` left over counts as such

    def power(self, engine: str = ENGINE) -> PowerSettings:
        """The settings of a madre that runs this project."""
        return PowerSettings(driver="compose", project=self.project, compose_file=self.file, engine=engine)

    def environment(self, engine: str = ENGINE) -> dict[str, str]:
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
        "command": ["python3", "-c", CODE, service.name, str(service.port), *words],
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
async def driver_on(containers: Containers, folder: Path, engine: str = ENGINE) -> AsyncIterator[ComposeDriver]:
    """The compose driver on a project."""
    house = house_in(folder, "madre", power=containers.power(engine))
    driver = compose_driver(house.settings.power, house.clients)
    try:
        async with driver.running():
            yield driver
    finally:
        await house.clients.close()
        house.db.close()


class Gate:
    """The gate before the engine as a process, which a test may kill and start again."""

    def __init__(self, folder: Path, project: str) -> None:
        self._path = folder / "gate.sock"
        self._environment = {**os.environ, "VX11_POWER_GATE": str(self._path), "VX11_POWER_PROJECT": project}
        self.address = f"unix://{self._path}"
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and wait until it listens."""
        argv = [sys.executable, "-m", "madre.engine_gate"]
        self._process = subprocess.Popen(argv, cwd=ROOT, env=self._environment)
        await eventually(self._listens, bool)

    def kill(self) -> None:
        """End it at once."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    async def _listens(self) -> bool:
        return listens(str(self._path))


@asynccontextmanager
async def gate_before(folder: Path, project: str) -> AsyncIterator[Gate]:
    """A gate for `project` that listens in `folder`; ended with the block."""
    gate = Gate(folder, project)
    await gate.start()
    try:
        yield gate
    finally:
        gate.kill()


@asynccontextmanager
async def fleet_on_containers(
    folder: Path,
    *,
    engine: str = ENGINE,
    settings: Mapping[str, str] | None = None,
    containers: Containers | None = None,
    **behaviour: str,
) -> AsyncIterator[tuple[Fleet, Containers]]:
    """A fleet whose core are processes of this host and whose other services are containers."""
    containers = containers or Containers(folder, **behaviour)
    containers.write()
    try:
        async with fleet_in(folder, **containers.environment(engine), **(settings or {})) as fleet:
            containers.write(fleet.offset)
            yield fleet, containers
    finally:
        await containers.down()
