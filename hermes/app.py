"""Composition of hermes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from config.app import Check, House, create_app, every
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
    settings = house.settings.hermes
    shelf = Shelf(house.settings.models_path, settings.free_space_mb)
    desk = Desk(house, shelf, catalogues_of(house, catalogue))
    hub = hub_of(house)
    web = Web(house.clients.web, hub.headers_for)
    lookout = Lookout(web, hub, timeout_sec=settings.look_timeout_sec, max_mb=settings.look_max_mb, pause=pause)
    arrival = Arrival(desk, lookout, {**fetchers_of(house, shelf, web, pause), **(fetchers or {})})
    pulls = Pulls(desk, arrival, tick_sec=tick_sec)
    registry = Registry(desk)
    programs = programs_of(desk, workbench or Workbench())
    flows = Flows(
        house=house,
        pulls=pulls,
        plans=Plans(desk, lookout),
        registry=registry,
        scans=Scans(desk, registry),
        programs=programs,
        engines=Engines(desk),
        discoveries=Discoveries(
            desk, lookout, Neighbours(home or Path.home()), pulls=pulls, registry=registry, programs=programs
        ),
    )

    @asynccontextmanager
    async def shelf_is_there() -> AsyncIterator[None]:
        shelf.prepare()
        yield

    async def own_files() -> None:
        await desk.catalogues.refresh(house.db, house.journal)
        await programs.refresh()

    looks = every(_LOOK_EVERY_SEC * tick_sec, own_files, name="own files")
    usage = every(_ABSORB_EVERY_SEC, registry.absorb_usage, name="absorb usage")
    app = create_app(house, [router], run=[shelf_is_there, looks, pulls.running, usage], checks=checks_of(flows, desk))
    app.state.flows = flows
    return app


def catalogues_of(house: House, catalogue: Catalogue | None) -> Catalogues:
    """The catalogue that ships (or a test's), and the user's own beside it."""
    own = OwnFile(house.settings.hermes.catalogue_file, parse_catalogue, Catalogue([]))
    return Catalogues(catalogue or load_catalogue(), own)


def programs_of(desk: Desk, workbench: Workbench) -> Programs:
    """The programs that ship, and the user's own."""
    own = OwnFile(desk.house.settings.hermes.programs_file, parse_programs, NONE)
    return Programs(desk, load_programs(), own, workbench)


def checks_of(flows: Flows, desk: Desk) -> dict[str, Check]:
    """What /health shows; a file of the user's own that does not count makes it `degraded`."""
    return {
        "downloads": lambda: flows.pulls.live_count,
        "catalogue": lambda: desk.catalogues.problem is None,
        "catalogue_problem": lambda: desk.catalogues.problem,
        "programs": lambda: flows.programs.problem is None,
        "programs_problem": lambda: flows.programs.problem,
    }
