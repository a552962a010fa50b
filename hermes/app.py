"""Composition of hermes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from config.app import House, create_app, every
from hermes.adapters.fetcher import Fetcher
from hermes.adapters.local import LocalFetcher
from hermes.adapters.pypi import PypiFetcher
from hermes.adapters.shelf import Shelf
from hermes.adapters.web import WebFetcher
from hermes.catalogue import Catalogue, load_catalogue
from hermes.flows.arrival import Arrival
from hermes.flows.desk import Desk
from hermes.flows.pulls import Pulls
from hermes.flows.registry import Registry
from hermes.flows.scans import Scans
from hermes.routes import Flows, router
from hermes.sources import FileSource, PypiSource, WebSource

_ABSORB_EVERY_SEC = 30.0


def fetchers_of(house: House, shelf: Shelf) -> dict[type, Fetcher[Any]]:
    """How each kind of source is fetched."""
    hermes = house.settings.hermes
    return {
        WebSource: WebFetcher(house.clients.web, shelf, hermes.chunk_kb * 1024),
        PypiSource: PypiFetcher(shelf),
        FileSource: LocalFetcher(shelf, allowed=hermes.allow_file_sources),
    }


def create(
    house: House,
    *,
    catalogue: Catalogue | None = None,
    fetchers: Mapping[type, Fetcher[Any]] | None = None,
    tick_sec: float = 1.0,
) -> FastAPI:
    """The app of hermes. `catalogue`, `fetchers` (replacing single ones) and `tick_sec` are the seams of tests."""
    settings = house.settings
    shelf = Shelf(settings.models_path, settings.hermes.free_space_mb)
    desk = Desk(house, shelf, catalogue or load_catalogue())
    pulls = Pulls(desk, Arrival(desk, {**fetchers_of(house, shelf), **(fetchers or {})}), tick_sec=tick_sec)
    registry = Registry(desk)
    scans = Scans(desk, registry)

    @asynccontextmanager
    async def shelf_is_there() -> AsyncIterator[None]:
        shelf.prepare()
        yield

    usage = every(_ABSORB_EVERY_SEC, registry.absorb_usage, name="absorb usage")
    app = create_app(
        house, [router], run=[shelf_is_there, pulls.running, usage], checks={"downloads": lambda: pulls.live_count}
    )
    app.state.flows = Flows(house, pulls, registry, scans)
    return app
