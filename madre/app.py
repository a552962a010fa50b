"""Composition of madre: the driver, the reconciler on it, the routes on the flows."""

from __future__ import annotations

from fastapi import FastAPI

from config.app import House, Running, create_app
from madre.adapters.compose import compose_driver
from madre.adapters.noop import NoopDriver
from madre.adapters.process import ProcessDriver
from madre.adapters.swarm import swarm_driver
from madre.drivers import Driver
from madre.flows.ground import Grounds
from madre.flows.planning import Planning
from madre.flows.power import Power
from madre.flows.reconciler import Reconciler
from madre.routes.plans import plans
from madre.routes.power import power
from madre.runner import Runner


class _Unmoved:
    """Stands where the runner of plans goes."""

    async def start(self, plan_id: str) -> None:
        """Leave it running for whoever comes."""

    async def cancel(self, plan_id: str) -> None:
        """Nothing runs."""


def create(house: House, driver: Driver | None = None, runner: Runner | None = None) -> FastAPI:
    """Madre on the foundation `house`; `driver` and `runner` instead of those the settings name, for tests."""
    run: list[Running] = []
    if driver is None:
        driver = _driver(house, run)
    reconciler = Reconciler(house, driver)
    flows = Power(house, reconciler)
    grounds = Grounds(house, lambda: {name: life.state for name, life in reconciler.known.items()})
    planning = Planning(house, runner or _Unmoved(), grounds)
    checks = {"driver": lambda: driver.name, "driver_answers": lambda: not reconciler.is_blind}
    running = [*run, reconciler.running, flows.gauges.running, planning.running]
    app = create_app(house, [power, plans], run=running, checks=checks)
    app.state.flows, app.state.planning = flows, planning
    return app


def _driver(house: House, run: list[Running]) -> Driver:
    """The driver the settings name; what it needs to run is added to `run`."""
    if house.settings.power.driver == "noop":
        return NoopDriver(house.clock)
    if house.settings.power.driver == "compose":
        compose = compose_driver(house.settings.power, house.clients)
        run.append(compose.running)
        return compose
    if house.settings.power.driver == "swarm":
        swarm = swarm_driver(house.settings.power, house.clients)
        run.append(swarm.running)
        return swarm
    if house.fork_link is None:
        raise SystemExit(
            "the process driver needs the fork server: start `python -m config fleet`, or set "
            "VX11_POWER_DRIVER=noop to run madre alone"
        )
    process = ProcessDriver(house.fork_link, house.settings.logs_path)
    run.append(process.running)
    return process
