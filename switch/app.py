"""Composition of Switch: its routes, and the pool of workers that lives as long as the service."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from config.app import House, create_app, every
from config.memory import available_mb
from switch.adapters.worker import Program
from switch.flows.completions import Completions
from switch.flows.models import Models
from switch.flows.registry import Registry
from switch.lifecycle import Limits, Stage
from switch.pool import Pool
from switch.routes import models, openai
from switch.routes.rights import Flows

_BUDGET_SHARE = 0.6
_TICK_SEC = 1.0


def create(house: House, *, worker: Program | None = None) -> FastAPI:
    """The Switch app on the foundation `house`. `worker` is what serves a model: the seam of tests."""
    pool = Pool(house, _limits(house), program=worker)
    registry = Registry(house)

    @contextlib.asynccontextmanager
    async def workers() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await pool.close()

    app = create_app(
        house,
        [openai.router, models.router],
        run=[workers, every(_TICK_SEC, pool.tick, name="models go to sleep")],
        checks={"models_loaded": lambda: sum(model.stage is Stage.READY for model in pool.models())},
    )
    app.state.flows = Flows(Completions(house, pool, registry), Models(house, pool, registry))
    return app


def _limits(house: House) -> Limits:
    settings = house.settings
    return Limits(
        budget_mb=settings.model_memory_mb or int(available_mb() * _BUDGET_SHARE),
        ttl_sec=settings.switch.model_ttl_sec,
        cooldown_sec=settings.switch.cooldown_sec,
        max_waiting=settings.switch.max_waiting,
    )
