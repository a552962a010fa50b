"""The overlay with the gate, in the real images: madre without the engine's socket does all her work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.containers import needs_engine
from tests.support.docker_fleet import ROOT, DockerFleet, images

pytestmark = [needs_engine, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]
OVERLAY = ROOT / "docker-compose.socket-proxy.yml"
SAME = ("CapDrop", "LogConfig", "Memory", "PortBindings", "ReadonlyRootfs", "SecurityOpt", "Tmpfs")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet() -> AsyncIterator[DockerFleet]:
    await asyncio.to_thread(images)
    fleet = DockerFleet(OVERLAY, VX11_POWER_POLICY="solo_madre")
    try:
        await fleet.up("tentaculo_link", "madre")  # and what madre depends on: the gate
        yield fleet
    except AssertionError:
        print(await fleet.compose("logs", "--no-color", "--tail", "40"))
        raise
    finally:
        await fleet.close()


async def test_madre_has_neither_the_socket_nor_a_capability(fleet: DockerFleet) -> None:
    madre, gate = await fleet.inspect("madre"), await fleet.inspect("engine_gate")
    assert "docker.sock" not in str(madre["Mounts"])
    assert (madre["HostConfig"]["CapAdd"], madre["HostConfig"]["CapDrop"]) == (None, ["ALL"])
    assert madre["Config"]["User"] == "vx11"
    assert (gate["HostConfig"]["NetworkMode"], gate["HostConfig"]["CapDrop"]) == ("none", ["ALL"])
    assert gate["HostConfig"]["PortBindings"] in (None, {})


async def test_windows_open_and_close_through_the_gate(fleet: DockerFleet) -> None:
    assert (await fleet.get("/health", 8001)).json()["checks"]["driver_answers"]
    window = await fleet.power("window/open", {"services": ["hermes"]})
    assert (window["state"], window["exec"]["driver"]) == ("open", "compose")
    assert (await fleet.get("/hermes/models", 8003)).status_code == 200
    closed = await fleet.power("window/close", {"window_id": window["window_id"]})
    assert closed["state"] == "closed"
    assert await fleet.running() == {"tentaculo_link", "madre", "engine_gate"}


async def test_a_container_that_madre_makes_is_the_one_a_person_would_have_made(fleet: DockerFleet) -> None:
    await fleet.power("window/open", {"services": ["hermes"]})
    by_madre = await fleet.inspect("hermes")
    await fleet.power("window/close", {})
    await fleet.compose("rm", "--force", "--stop", "hermes")
    await fleet.compose("create", "--no-build", "hermes")
    by_hand = await fleet.inspect("hermes")
    assert by_hand["Id"] != by_madre["Id"]
    assert made_as(by_hand) == made_as(by_madre)


async def test_whoever_takes_the_fleet_down_takes_all_of_it_down(fleet: DockerFleet) -> None:
    """Madre ends beside her services, and must not take their end for a crash."""
    await fleet.power("window/open", {"services": ["hermes"], "mode": "hold"})
    await fleet.compose("down")
    assert (await fleet.compose("ps", "--all", "--quiet")).split() == []


def made_as(container: dict[str, Any]) -> dict[str, Any]:
    """What decides how a container runs, but for madre's own way to the engine, which is nothing to others."""
    config, host = container["Config"], container["HostConfig"]
    mounts = sorted((one["Name"], one["Destination"], one["RW"]) for one in container["Mounts"])
    return {
        **{name: host.get(name) for name in SAME},
        "Mounts": mounts,
        "Env": sorted(one for one in config["Env"] if "=" in one and not one.startswith("VX11_POWER_ENGINE=")),
        "Image": container["Image"],
        "Cmd": config["Cmd"],
        "User": config["User"],
        "StopTimeout": config["StopTimeout"],
        "Networks": sorted(container["NetworkSettings"]["Networks"]),
    }
