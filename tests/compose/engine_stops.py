"""The engine itself stops, in order or not, and is started again: an engine of the test's own.

Run by `test_engine_stops.py` in a network of its own: a second dockerd takes away the `docker0` of the first.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from config import audit
from tests.support.chats import books
from tests.support.containers import IMAGE, Containers, fleet_on_containers
from tests.support.eventually import eventually
from tests.support.fleet import Fleet
from tests.support.private_engine import private_engine

pytestmark = pytest.mark.timeout(300)
PATIENCE_SEC = 60.0


async def driver_answers(fleet: Fleet) -> bool:
    return bool((await fleet.get("/health", 8001)).json()["checks"]["driver_answers"])


async def running(containers: Containers) -> set[str]:
    return set(await containers.ids(also_ended=False))


async def deadlines(fleet: Fleet) -> list[tuple[str, str]]:
    return [(one["window_id"], one["deadline"]) for one in (await fleet.power("state"))["windows"]]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_windows_outlive_an_engine_that_stops_and_starts_again(tmp_path: Path, how: signal.Signals) -> None:
    async with private_engine(IMAGE) as engine:
        project = Containers(tmp_path, host=engine.address)
        async with fleet_on_containers(tmp_path, engine=engine.address, containers=project) as (fleet, containers):
            held = await fleet.power("window/open", {"services": ["hermes"], "ttl_sec": 3600})
            await fleet.power("window/open", {"services": ["switch"], "ttl_sec": 5})
            made = await containers.ids()
            await engine.stop(how)
            await eventually(lambda: driver_answers(fleet), lambda answers: not answers, within_sec=PATIENCE_SEC)
            assert (await fleet.power("state"))["window_id"] == held["window_id"]
            await engine.start()
            await eventually(lambda: driver_answers(fleet), bool, within_sec=PATIENCE_SEC)
            await fleet.comes_to("hermes", "ready", within_sec=PATIENCE_SEC)
            left = [(held["window_id"], held["deadline"])]  # the engine may be back before the other's time is over
            await eventually(lambda: deadlines(fleet), lambda seen: seen == left, within_sec=PATIENCE_SEC)
            await fleet.comes_to("switch", "asleep", within_sec=PATIENCE_SEC)
            await eventually(lambda: running(containers), lambda names: names == {"hermes"}, within_sec=PATIENCE_SEC)
            assert await containers.ids() == made
            assert await deadlines(fleet) == left
            await fleet.power("window/close", {"window_id": held["window_id"]})
            await fleet.comes_to("hermes", "asleep", within_sec=PATIENCE_SEC)
            with books(fleet) as session:
                assert audit.verify(session).is_intact
