"""Composition of madre: the driver, the reconciler on it, the runner of plans, the routes on the flows."""

from __future__ import annotations

import functools
from collections.abc import Callable

from fastapi import FastAPI

from config.app import House, Running, create_app
from madre.adapters.compose import compose_driver
from madre.adapters.durable import Durable
from madre.adapters.live import Live
from madre.adapters.noop import NoopDriver
from madre.adapters.process import ProcessDriver
from madre.adapters.swarm import swarm_driver
from madre.drivers import Driver
from madre.flows.autonomy import Autonomy
from madre.flows.effects import Effects
from madre.flows.executors.order import Executors
from madre.flows.ground import Grounds
from madre.flows.plan_windows import PlanWindows
from madre.flows.planning import Planning
from madre.flows.power import Power
from madre.flows.reconciler import Reconciler
from madre.flows.speaking import Speaking
from madre.flows.steps import Steps
from madre.routes.live import live
from madre.routes.plans import plans
from madre.routes.power import power
from madre.routes.speaking import autonomy as autonomous
from madre.routes.speaking import speaking
from madre.runner import Runner


def create(house: House, driver: Driver | None = None, runner: Runner | None = None) -> FastAPI:
    """Madre on the foundation `house`; `driver` and `runner` instead of those the settings name, for tests."""
    run: list[Running] = []
    if driver is None:
        driver = _driver(house, run)
    reconciler = Reconciler(house, driver)
    flows = Power(house, reconciler)
    run += [reconciler.running, flows.gauges.running]
    if runner is None:
        runner = _runner(house, reconciler, lambda: _executors(house, flows, reconciler, planning, autonomy), run)
    grounds = Grounds(house, lambda: {name: life.state for name, life in reconciler.known.items()})
    planning = Planning(house, runner, grounds)
    autonomy = Autonomy(house, reconciler, flows.gauges, planning.plans)
    said = Speaking(house, reconciler, flows, planning.plans, autonomy)
    run += [planning.running, said.running]
    checks = {"driver": lambda: driver.name, "driver_answers": lambda: not reconciler.is_blind}
    app = create_app(house, [power, plans, live, speaking, autonomous], run=run, checks=checks)
    app.state.flows, app.state.planning, app.state.speaking = flows, planning, said
    app.state.live, app.state.runner = Live(house, planning.plans, said.asking), runner
    return app


def _runner(house: House, reconciler: Reconciler, executors: Callable[[], Executors], run: list[Running]) -> Runner:
    """The runner of plans, on DBOS; what it needs to run is added to `run`."""
    windows = PlanWindows(house, reconciler)
    effects = Effects(house, windows)
    durable = Durable(house.db.url, Steps(house, windows, effects, functools.cache(executors)))
    run += [effects.running, durable.running]
    return durable


def _executors(house: House, power: Power, reconciler: Reconciler, planning: Planning, autonomy: Autonomy) -> Executors:
    from madre.flows.executors.table import executors  # noqa: PLC0415  # the wire of three rooms; until there is a plan

    return executors(house, power, reconciler, planning.plans, autonomy)


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
