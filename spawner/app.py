"""Composition of spawner."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from config.app import House, create_app, every
from spawner.adapters.folders import Folders
from spawner.adapters.ladder import QUICKEST, STRONGEST, best_cage
from spawner.adapters.leftovers import Leftovers
from spawner.cage import Cage
from spawner.clients import Hermes, Madre, Switch
from spawner.flows.desk import Desk
from spawner.flows.jobs import Jobs
from spawner.flows.outputs import Outputs
from spawner.flows.room import Room
from spawner.flows.running import Running
from spawner.flows.settling import Settling
from spawner.flows.slots import SlotWatch
from spawner.flows.state import State
from spawner.flows.supervisor import Supervisor
from spawner.flows.tools import Toolbox
from spawner.routes import Flows, router

_TIDY_EVERY_SEC = 3600.0


def create(
    house: House,
    *,
    cage: Cage | None = None,
    leftovers: Leftovers | None = None,
    luck: random.Random | None = None,
    tick_sec: float = 1.0,
) -> FastAPI:
    """The app of spawner. The seams of tests: `cage` (else the best that this machine has), `leftovers` (where dead
    spawners' processes are looked for), `luck` (of the waits before retries) and `tick_sec`.
    """
    desk = Desk(house, Folders(house.settings.spawner_path))
    slots = SlotWatch(Switch(house.clients), house.clock, desk.settings.at_once)
    settling = Settling(desk, luck)
    toolbox = Toolbox(Madre(house.clients), Switch(house.clients), Hermes(house.clients))
    room = Room(desk)
    running = Running(desk, toolbox, room)
    supervisor = Supervisor(desk, running, settling, slots, room, leftovers=leftovers, tick_sec=tick_sec)
    state = State(desk, supervisor, slots, room)
    flows = Flows(house, Jobs(desk, settling, supervisor), Outputs(desk), state)

    @asynccontextmanager
    async def caged() -> AsyncIterator[None]:
        await asyncio.to_thread(desk.folders.sweep)
        desk.held = cage or await best_cage(
            secrets_of(house),
            place=house.settings.spawner_path,
            rungs=STRONGEST if desk.settings.isolation == "strongest" else QUICKEST,
        )
        try:
            yield
        finally:
            await desk.cage.close()

    tidying = every(_TIDY_EVERY_SEC, state.tidy, name="tidy")
    checks = {"daughters": lambda: supervisor.live_count, "isolation": lambda: desk.cage.level.rung.value}
    app = create_app(house, [router], run=[caged, supervisor.running, tidying], checks=checks)
    app.state.flows = flows
    return app


def secrets_of(house: House) -> list[Path]:
    """What no daughter may read, whatever else she may: the database, keys and tokens of the fleet."""
    settings = house.settings
    return [path for path in (settings.runtime_path, settings.secrets_path) if path is not None]
