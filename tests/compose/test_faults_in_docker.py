"""Bad weather on the real images: containers that die in the middle of answers, and a data volume that is full."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from config.services import CORE, present_services
from tests.support.chats import SMALL, Talk
from tests.support.containers import needs_engine, run
from tests.support.docker_fleet import USER, DockerFleet, docker_fleet
from tests.support.eventually import eventually
from tests.support.load import AT_ONCE, HEALS_WITHIN_SEC, SEA, succeeds, under_load

pytestmark = [needs_engine, pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(1900)]
MADE_OF_GLASS = ("switch", "hermes", "madre", "tentaculo_link")
SMALL_VOLUME_MB = 24
ROOMY = {"VX11_GATEWAY_RATE_PER_SEC": "10000", "VX11_GATEWAY_RATE_BURST": "10000", "VX11_SWITCH_CONTEXT_TOKENS": "512"}
EXAMINE = """
import json
from config import audit
from config.db import Database
from config.settings import load_settings
database = Database(load_settings().resolved_database_url)
with database.read() as session:
    chain = audit.verify(session)
print(json.dumps({"database": database.integrity(), "rows": chain.rows, "broken_at": chain.broken_at}))
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet() -> AsyncIterator[DockerFleet]:
    """A whole fleet, whose data volume is a small disk of its own."""
    async with docker_fleet(SMALL, data_mb=SMALL_VOLUME_MB, **ROOMY) as fleet:
        yield fleet


@pytest.fixture
def talk(fleet: DockerFleet) -> Talk:
    return Talk(fleet.http, fleet.url(8000))


async def must_be_whole(fleet: DockerFleet) -> None:
    """The database is sound, and the audit chain unbroken."""
    found = json.loads(await fleet.compose("exec", "-T", "tentaculo_link", "python", "-c", EXAMINE))
    assert (found["database"], found["broken_at"]) == ("ok", None), found
    assert found["rows"] > 0


async def life_of(fleet: DockerFleet, service: str) -> tuple[str, str]:
    state = (await fleet.inspect(service))["State"]
    return state["Status"], state["StartedAt"]


async def crash(fleet: DockerFleet, service: str) -> None:
    """Have all of the container's processes die at once, by no order of Docker's: it does not know of it beforehand."""
    try:
        await fleet.compose("exec", "-T", service, "sh", "-c", "kill -KILL -1")
    except AssertionError:
        return  # the shell that killed is dead as well


async def test_every_container_dies_in_turn_under_load_and_the_fleet_heals(fleet: DockerFleet, talk: Talk) -> None:
    before = await containers(fleet)
    async with under_load(talk.stream) as load:
        await load.goes_on(AT_ONCE)
        for name in MADE_OF_GLASS:
            life = await life_of(fleet, name)
            await crash(fleet, name)
            await eventually(
                lambda name=name: life_of(fleet, name),  # type: ignore[misc]
                lambda seen, life=life: seen[0] == "running" and seen != life,  # type: ignore[misc]
                within_sec=HEALS_WITHIN_SEC,
            )
            await load.goes_on(2 * AT_ONCE)
            for path in ("/hermes/models", "/vx11/status"):
                await eventually(lambda path=path: succeeds(talk, path), bool, within_sec=HEALS_WITHIN_SEC)  # type: ignore[misc]
            await must_be_whole(fleet)
    assert load.unsaid == []  # whoever got no answer was told so
    assert await containers(fleet) == before
    assert await fleet.running() == {service.name for service in present_services()}


async def containers(fleet: DockerFleet) -> set[str]:
    return set((await fleet.compose("ps", "--all", "--quiet")).split())


async def test_a_chat_needs_no_registry_that_is_awake(fleet: DockerFleet, talk: Talk) -> None:
    """A window for switch alone, while hermes, whose models it serves, sleeps."""
    await fleet.power("policy/solo_madre/apply", {})
    await eventually(fleet.running, lambda names: names == set(CORE), within_sec=HEALS_WITHIN_SEC)
    window = await fleet.power("window/open", {"services": ["switch"]})
    assert window["state"] == "open"
    assert await talk.said(SEA)
    assert await fleet.running() == {*CORE, "switch"}
    await fleet.power("window/close", {"window_id": window["window_id"]})
    await fleet.power("policy/full/apply", {})
    for name in ("switch", "hermes"):
        await fleet.comes_to(name, "ready", within_sec=HEALS_WITHIN_SEC)


async def test_a_full_volume_is_told_ends_nothing_and_is_survived(fleet: DockerFleet, talk: Talk) -> None:
    lives = {name: await life_of(fleet, name) for name in MADE_OF_GLASS}
    assert await talk.said(SEA)
    await on_volume(fleet, "cat /dev/zero > /data/filler 2>/dev/null; true")
    # Not at once: what is written goes into the room that the write-ahead log has already, while there is any.
    told = await eventually(lambda: a_window(fleet), lambda answer: answer["status"] >= 400, within_sec=180)
    assert (told["status"], told["body"]["code"]) == (507, "disk_full"), told
    assert await succeeds(talk, "/vx11/status")
    assert await talk.said(SEA)  # what it would have kept of it is lost, the answer is not
    assert (await fleet.get("/health")).status_code == 200
    assert {name: await life_of(fleet, name) for name in MADE_OF_GLASS} == lives
    await on_volume(fleet, "rm /data/filler")
    mended = await eventually(lambda: a_window(fleet), lambda answer: answer["status"] < 300, within_sec=60)
    await fleet.power("window/close", {"window_id": mended["body"]["window_id"]})
    assert await talk.said(SEA)
    assert {name: await life_of(fleet, name) for name in MADE_OF_GLASS} == lives
    await must_be_whole(fleet)


async def a_window(fleet: DockerFleet) -> dict[str, Any]:
    answer = await fleet.post("/madre/power/window/open", {"services": ["hermes"]}, 8001)
    return {"status": answer.status_code, "body": answer.json()}


async def on_volume(fleet: DockerFleet, command: str) -> None:
    """Run something in a container that shares the data volume."""
    volume = f"{fleet.project}_data:/data"
    await run("docker", "run", "--rm", "--user", USER, "-v", volume, "--entrypoint", "sh", "vx11-core", "-c", command)
