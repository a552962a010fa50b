"""A swarm of one machine, and a stack on it whose small containers stand for the house's services."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from config.services import CORE, Service, present_services
from config.settings import PowerSettings
from madre.adapters.swarm import SwarmDriver, swarm_driver
from tests.support.containers import CODE, ENGINE, GRACE, IMAGE, run
from tests.support.eventually import eventually
from tests.support.fleet import Fleet, fleet_in
from tests.support.house import house_in


class Stack:
    """One stack of small services; `behaviour` by service name is what `small_service.py` takes."""

    def __init__(self, folder: Path, **behaviour: str) -> None:
        self.file = folder / "docker-stack.json"
        self.name = f"vx11-test-{secrets.token_hex(4)}"
        self._behaviour = behaviour

    async def deploy(self, offset: int | None = None) -> None:
        """Have Swarm make the services; with `offset`, sleeping ones are published where a fleet looks for them."""
        declared = {
            service.name: _declared(service, self._behaviour.get(service.name, ""), offset)
            for service in present_services()
        }
        self.file.write_text(json.dumps({"version": "3.8", "services": declared}).replace("$", "$$"))
        await run("docker", "stack", "deploy", "--resolve-image", "never", "-c", str(self.file), self.name)

    async def scale(self, service: str, tasks: int) -> None:
        """Scale a service by hand."""
        await run("docker", "service", "scale", "-d", f"{self.name}_{service}={tasks}")

    async def replicas(self) -> dict[str, int]:
        """How many tasks Swarm wants of each service."""
        names = [f"{self.name}_{service.name}" for service in present_services()]
        wanted = json.loads(await run("docker", "service", "inspect", *names))
        return {
            one["Spec"]["Name"].removeprefix(f"{self.name}_"): one["Spec"]["Mode"]["Replicated"]["Replicas"]
            for one in wanted
        }

    async def containers(self, service: str) -> list[str]:
        """The containers of a service that run on this machine."""
        label = f"label=com.docker.swarm.service.name={self.name}_{service}"
        return (await run("docker", "ps", "-q", "--filter", label)).split()

    async def tasks(self, service: str) -> dict[str, str]:
        """Every task that Swarm still knows of a service, by id: its state, with what it complains of."""
        shown = "{{.ID}} {{.CurrentState}} {{.Error}}"
        lines = await run("docker", "service", "ps", "--no-trunc", "--format", shown, f"{self.name}_{service}")
        return {task: state for task, _, state in (line.partition(" ") for line in lines.splitlines())}

    async def remove(self) -> None:
        """Remove the stack; returns once no container of it is left."""
        await run("docker", "stack", "rm", self.name)
        label = f"label=com.docker.stack.namespace={self.name}"

        async def left() -> str:
            return await run("docker", "ps", "-aq", "--filter", label)

        await eventually(left, lambda found: not found, within_sec=60)

    def power(self) -> PowerSettings:
        """The settings of a madre that runs this stack."""
        return PowerSettings(driver="swarm", project=self.name)

    def environment(self) -> dict[str, str]:
        """The same as environment variables."""
        return {"VX11_POWER_DRIVER": "swarm", "VX11_POWER_PROJECT": self.name, "VX11_POWER_ENGINE": ENGINE}


def _declared(service: Service, behaviour: str, offset: int | None) -> dict[str, Any]:
    published = {"mode": "host", "target": service.port, "published": service.port + (offset or 0)}
    return {
        "image": IMAGE,
        "command": ["python3", "-c", CODE, service.name, str(service.port), *behaviour.split()],
        "init": True,
        "stop_grace_period": GRACE,
        "ports": [published] if offset is not None and service.sleeps else [],
        "deploy": {
            "replicas": 0 if service.sleeps else 1,
            "restart_policy": {"condition": "none"},
            "resources": {"limits": {"memory": "64M"}},
        },
    }


@asynccontextmanager
async def one_node_swarm() -> AsyncIterator[None]:
    """This engine as a swarm of one, which it is no more afterwards, unless it was one before."""
    was_one = (await run("docker", "info", "--format", "{{.Swarm.LocalNodeState}}")).strip() == "active"
    if not was_one:
        await run("docker", "swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1")
    try:
        yield
    finally:
        if not was_one:
            await run("docker", "swarm", "leave", "--force")


@asynccontextmanager
async def stack_in(folder: Path, **behaviour: str) -> AsyncIterator[Stack]:
    """A swarm of one machine with a stack on it, once that is deployed; both gone with the block."""
    async with one_node_swarm():
        stack = Stack(folder, **behaviour)
        try:
            yield stack
        finally:
            await stack.remove()


@asynccontextmanager
async def swarm_driver_on(stack: Stack, folder: Path) -> AsyncIterator[SwarmDriver]:
    """The swarm driver on a stack whose core runs."""
    await stack.deploy()
    for service in CORE:
        await eventually(partial(stack.containers, service), bool, within_sec=60)
    house = house_in(folder, "madre", power=stack.power())
    driver = swarm_driver(house.settings.power, house.clients)
    try:
        async with driver.running():
            yield driver
    finally:
        await house.clients.close()
        house.db.close()


@asynccontextmanager
async def fleet_on_stack(folder: Path, **behaviour: str) -> AsyncIterator[tuple[Fleet, Stack]]:
    """A fleet whose core are processes of this host and whose other services are Swarm's."""
    async with stack_in(folder, **behaviour) as stack, fleet_in(folder, **stack.environment()) as fleet:
        await stack.deploy(fleet.offset)
        yield fleet, stack
