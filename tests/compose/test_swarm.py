"""Windows over a stack on a swarm of one machine: the services of a fleet, scaled by the real Swarm."""

from __future__ import annotations

from pathlib import Path

from config.services import present_services
from tests.support.containers import needs_engine, run
from tests.support.eventually import eventually
from tests.support.fleet import Fleet
from tests.support.swarm import fleet_on_stack

pytestmark = needs_engine
PATIENCE_SEC = 60.0
NOTHING_ASKED_FOR = {service.name: int(not service.sleeps) for service in present_services()}


async def up(fleet: Fleet, *services: str) -> None:
    for service in services:
        await fleet.comes_to(service, "ready", within_sec=PATIENCE_SEC)


async def down(fleet: Fleet, *services: str) -> None:
    for service in services:
        await fleet.comes_to(service, "asleep", within_sec=PATIENCE_SEC)


async def test_windows_scale_the_services_of_a_stack(tmp_path: Path) -> None:
    async with fleet_on_stack(tmp_path) as (fleet, stack):
        assert await stack.replicas() == NOTHING_ASKED_FOR

        window = await fleet.power("window/open", {"services": ["switch", "hermes"], "ttl_sec": 600})
        await up(fleet, "switch", "hermes")
        assert (await stack.replicas())["switch"] == 1

        # What ended is brought back by madre, and by her alone: Swarm's own restarts are off.
        [first] = await stack.containers("switch")
        await run("docker", "kill", first)

        async def another() -> list[str]:
            return [one for one in await stack.containers("switch") if one != first]

        await eventually(another, bool, within_sec=PATIENCE_SEC)
        await up(fleet, "switch")
        assert (await fleet.service("switch"))["restarts"] == 1

        # What was scaled by hand is reconciled, both ways.
        await stack.scale("hermes", 0)
        await up(fleet, "hermes")
        await fleet.power("window/close", {"window_id": window["window_id"]})
        await down(fleet, "switch", "hermes")
        assert await stack.replicas() == NOTHING_ASKED_FOR
        before = await stack.tasks("hermes")
        await stack.scale("hermes", 1)

        async def of_hermes() -> tuple[int, list[str], dict[str, str]]:
            tasks = {task: state for task, state in (await stack.tasks("hermes")).items() if task not in before}
            return (await stack.replicas())["hermes"], await stack.containers("hermes"), tasks

        def did_not_stay(seen: tuple[int, list[str], dict[str, str]]) -> bool:
            replicas, containers, tasks = seen  # one that found its port taken still is over without madre
            is_over = replicas == 0 or any(state.startswith(("Failed", "Rejected")) for state in tasks.values())
            return is_over and not containers

        await eventually(of_hermes, did_not_stay, within_sec=PATIENCE_SEC)


async def test_a_service_that_would_not_stay_up_ends_its_window_with_its_last_words(tmp_path: Path) -> None:
    async with fleet_on_stack(tmp_path, switch="dies") as (fleet, _stack):
        url = f"{fleet.url(8001)}/madre/power/window/open"
        answer = await fleet.http.post(url, json={"services": ["switch"], "ttl_sec": 600}, timeout=PATIENCE_SEC)
        assert (answer.status_code, answer.json()["code"]) == (500, "start_failed")
        said = answer.json()["detail"]
        assert "switch ended with status 1" in said
        assert "no such file: list" in said, "the host's paths are not told"
        assert "secretsecret" not in said
        assert (await fleet.power("windows"))["items"][0]["state"] == "error"
