"""Composition of Switch: its routes, and the pool of workers that lives as long as the service."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI

from config.app import House, create_app, every
from config.memory import model_budget_mb
from switch.adapters.sensors import Sensors
from switch.adapters.worker import Program
from switch.flows.chats import Chats
from switch.flows.completions import Completions
from switch.flows.engines import Engines
from switch.flows.ledger import Ledger
from switch.flows.locals import Locals
from switch.flows.models import Models
from switch.flows.news import News
from switch.flows.providers import Providers
from switch.flows.registry import Registry
from switch.flows.tasks import Tasks
from switch.flows.warmup import Warmup
from switch.flows.weather import Weather
from switch.lifecycle import Limits
from switch.local import Local
from switch.pool import Pool
from switch.residence import Stage
from switch.routes import chats, engines, models, openai, weather
from switch.routes.rights import Flows

_TICK_SEC = 1.0


def create(house: House, *, worker: Program | None = None, sensors: Sensors | None = None) -> FastAPI:
    """The Switch app on the foundation `house`. `worker` (what serves a model) and `sensors` are the seams of tests."""
    pool = Pool(house, _limits(house), program=worker)
    local = Local(house, pool, cores=house.settings.switch.cores or len(os.sched_getaffinity(0)))
    registry = Registry(house)
    flows = _flows(house, pool, local, registry, sensors or Sensors())

    @contextlib.asynccontextmanager
    async def workers() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await pool.close()

    app = create_app(
        house,
        [openai.router, chats.router, engines.router, models.router, weather.router],
        run=[
            flows.ledger.running,
            workers,
            every(_TICK_SEC, pool.tick, name="models go to sleep"),
            every(_TICK_SEC, flows.news.follow, name="news of the registry"),
            flows.warmup.running,
            every(house.settings.switch.fluzo_sec, flows.weather.look, name="signals of the machine"),
            flows.providers.running,
            flows.tasks.running,
        ],
        checks={"models_loaded": lambda: sum(model.stage is Stage.READY for model in pool.models())},
    )
    app.state.flows = flows
    return app


def _flows(house: House, pool: Pool, local: Local, registry: Registry, sensors: Sensors) -> Flows:
    ledger = Ledger(house)
    sky = Weather(house, sensors, ledger)
    providers = Providers(house, Locals(pool, local, registry))
    completions = Completions(house, providers, sky, ledger)
    prompts = Chats(house, completions)
    return Flows(
        house=house,
        ledger=ledger,
        providers=providers,
        completions=completions,
        models=Models(house, pool, local, registry),
        warmup=Warmup(house, pool, registry, completions),
        news=News(house, pool, registry),
        chats=prompts,
        tasks=Tasks(house, prompts),
        engines=Engines(house, providers, sky, ledger),
        weather=sky,
    )


def _limits(house: House) -> Limits:
    settings = house.settings
    return Limits(
        budget_mb=model_budget_mb(settings),
        ttl_sec=settings.switch.model_ttl_sec,
        cooldown_sec=settings.switch.cooldown_sec,
        max_waiting=settings.switch.max_waiting + settings.switch.parallel,  # admission has bounded them before
    )
