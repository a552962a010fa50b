"""The fleet as docker-stack.yml declares it: real images on a swarm of one machine, PostgreSQL beside it."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from sqlalchemy import select

from config.db import Database
from config.db_schema import EventRow
from tests.support import postgres
from tests.support.containers import needs_engine, run
from tests.support.databases import Server
from tests.support.eventually import eventually, says_ready
from tests.support.house import ADMIN, ADMIN_HEADERS
from tests.support.ports import free_port_offset
from tests.support.swarm import one_node_swarm
from tests.support.tree import ROOT

pytestmark = [
    needs_engine,
    pytest.mark.timeout(600),
    pytest.mark.skipif(postgres.programs() is None, reason="PostgreSQL is not installed"),
]
PATIENCE_SEC = 180.0


@dataclass
class Deployed:
    """A stack that runs, its door, and its database as this machine reaches it."""

    name: str
    door: httpx.AsyncClient
    database: Database

    async def is_ready(self) -> bool:
        return await says_ready(self.door)

    async def models(self) -> httpx.Response:
        """What hermes answers; 503 while Swarm takes longer to start it than the door waits."""
        return await self.door.get("/hermes/models")

    async def service(self, name: str) -> dict[str, Any]:
        status = (await self.door.get("/vx11/status")).json()
        return next(one for one in status["services"] if one["name"] == name)

    async def replicas(self, service: str) -> int:
        found = json.loads(await run("docker", "service", "inspect", f"{self.name}_{service}"))
        return int(found[0]["Spec"]["Mode"]["Replicated"]["Replicas"])


async def bridge_address() -> str:
    """Where containers find this machine."""
    form = "{{(index .IPAM.Config 0).Gateway}}"
    return (await run("docker", "network", "inspect", "bridge", "--format", form)).strip()


@asynccontextmanager
async def postgres_for_containers(folder: Path) -> AsyncIterator[tuple[str, str]]:
    """A database without tables: its URL for this machine, and for containers on it."""
    address, port = await bridge_address(), 5432 + free_port_offset()
    cluster = postgres.Cluster()
    try:
        cluster.admit_everybody()
        cluster.start()
        here = Server(cluster.url).url_in(folder, empty=True)
        cluster.stop()
        cluster.start(listen_addresses=address, port=str(port))
        here = here.replace("port=5432", f"port={port}")
        there = f"postgresql://vx11@{address}:{port}/{here.partition('@/')[2].partition('?')[0]}"
        yield here, f"{there}?passfile=/run/secrets/vx11.pgpass"
    finally:
        cluster.remove()


@asynccontextmanager
async def secrets_named(prefix: str, **values: str) -> AsyncIterator[dict[str, Any]]:
    """Swarm's secrets with these values, under names of their own."""
    made = {name: {"external": True, "name": f"{prefix}_{name}"} for name in values}
    for name, value in values.items():
        await run("sh", "-c", f'printf %s "$1" | docker secret create {prefix}_{name} -', "sh", value)
    try:
        yield made
    finally:
        await run("docker", "secret", "rm", *(str(one["name"]) for one in made.values()))


@asynccontextmanager
async def deployed(folder: Path) -> AsyncIterator[Deployed]:
    """The repository's own stack file, under a name and a port of its own; all of it gone with the block."""
    name, port = f"vx11-test-{secrets.token_hex(4)}", 8000 + free_port_offset()
    stack = yaml.safe_load((ROOT / "docker-stack.yml").read_text())
    gateway = stack["services"]["tentaculo_link"]
    gateway["ports"][0] |= {"published": port, "mode": "host"}  # Swarm's own mesh needs a kernel with IPVS
    gateway["deploy"]["endpoint_mode"] = "dnsrr"
    file = folder / "docker-stack.json"
    values = {"vx11_admin_token": ADMIN, "vx11_service_key": secrets.token_hex(32), "vx11_pgpass": "*:*:*:vx11:none"}
    async with (
        one_node_swarm(),
        postgres_for_containers(folder) as (here, there),
        secrets_named(name, **values) as stack["secrets"],
    ):
        await run("sh", "-c", "docker node update --label-add vx11.models=true $(docker node ls -q)")
        file.write_text(json.dumps(stack))
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "VX11_DATABASE_URL": there, "VX11_POWER_PROJECT": name}
        try:
            argv = ("docker", "stack", "deploy", "--resolve-image", "never", "-c", str(file), name)
            await run(*argv, environment=environment)
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}", headers=ADMIN_HEADERS, timeout=60
            ) as door:
                database = Database(here)
                yield Deployed(name, door, database)
                database.close()
        finally:
            await run("docker", "stack", "rm", name)
            left = partial(run, "docker", "ps", "-aq", "--filter", f"label=com.docker.stack.namespace={name}")
            await eventually(left, lambda found: not found, within_sec=PATIENCE_SEC)
            await run("docker", "volume", "rm", "-f", f"{name}_data", f"{name}_models")


async def test_a_request_wakes_a_service_of_the_stack_and_all_share_one_postgresql(tmp_path: Path) -> None:
    async with deployed(tmp_path) as fleet:
        await eventually(fleet.is_ready, bool, within_sec=PATIENCE_SEC)
        assert await fleet.replicas("hermes") == 0

        answer = await eventually(fleet.models, lambda answer: answer.status_code != 503, within_sec=PATIENCE_SEC)
        assert answer.is_success, answer.text
        assert answer.json()["items"] == []
        assert await fleet.replicas("hermes") == 1
        assert await fleet.replicas("switch") == 0
        assert (await fleet.service("hermes"))["state"] == "ready"

        opened = await fleet.door.post("/vx11/window/open", json={"target": "switch", "ttl_seconds": 600})
        assert opened.is_success, opened.text
        assert await fleet.replicas("switch") == 1
        closed = await fleet.door.post("/vx11/window/close", json={"target": "switch"})
        assert closed.is_success

        async def asleep() -> bool:
            return await fleet.replicas("switch") == 0

        await eventually(asleep, bool, within_sec=PATIENCE_SEC)
        with fleet.database.read() as session:
            types = list(session.scalars(select(EventRow.type).order_by(EventRow.id)))
        assert types.count("power.window.open") == 2
