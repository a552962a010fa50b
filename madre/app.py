"""Composition of madre: the driver, the reconciler on it, the routes on the flows."""

from __future__ import annotations

from fastapi import FastAPI

from config.app import House, Running, create_app
from madre.adapters.compose import compose_driver
from madre.adapters.noop import NoopDriver
from madre.adapters.process import ProcessDriver
from madre.adapters.swarm import swarm_driver
from madre.drivers import Driver
from madre.flows.power import Power
from madre.flows.reconciler import Reconciler
from madre.routes.power import power


def create(house: House, driver: Driver | None = None) -> FastAPI:
    """Madre on the foundation `house`; `driver` instead of the one the settings name, for tests."""
    run: list[Running] = []
    if driver is None:
        driver = _driver(house, run)
    reconciler = Reconciler(house, driver)
    flows = Power(house, reconciler)
    checks = {"driver": lambda: driver.name, "driver_answers": lambda: not reconciler.is_blind}
    app = create_app(house, [power], run=[*run, reconciler.running, flows.gauges.running], checks=checks)
    app.state.flows = flows
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
