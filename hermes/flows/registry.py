"""The registry: what models there are, what may be changed about them, and how much they are used."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sqlalchemy.orm import Session

from config.auth import Caller
from config.contracts.base import Page
from config.contracts.models import (
    Available,
    Catalogue,
    CatalogueItem,
    LocalModel,
    ModelPatch,
    ModelRegister,
    Resources,
)
from config.contracts.tools import Tool
from config.db_schema.hermes import LocalModelV2
from config.errors import BadModelFile, Conflict, NotFound
from config.paging import cut, decode_cursor
from hermes import store
from hermes.adapters.receiver import sha256_of_file
from hermes.adapters.shelf import FoundFile
from hermes.cards import card_of
from hermes.flows.desk import Desk
from hermes.rows import Registration, model_on_wire
from hermes.sources import safe_name


class Registry:
    """The rows of `local_models_v2` and the catalogue beside them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._house = desk.house
        self._shelf = desk.shelf

    async def page(self, limit: int, cursor: str | None) -> Page[LocalModel]:
        """Registered models, newest first."""
        rows = await self._house.db.reading(store.models_page, limit, decode_cursor(cursor))
        page, following = cut(rows, limit, lambda row: (row.created_at, row.name))
        return Page(items=[model_on_wire(row) for row in page], next_cursor=following)

    async def model(self, name: str) -> LocalModel:
        """One registered model; UnknownModel if there is none of this name."""
        return model_on_wire(await self._house.db.reading(self._desk.model, name))

    async def catalogue(self) -> Catalogue:
        """Every model that can be pulled by name, and which of them are here or on the way."""
        return Catalogue(items=await self._house.db.reading(self._catalogue))

    async def available(self, programs: list[Tool]) -> Available:
        """What can be served now, and what of the catalogue is not here; `programs` may be asked too."""
        rows = await self._house.db.reading(store.all_models)
        items = await self._house.db.reading(self._catalogue)
        return Available(
            models=[model_on_wire(row) for row in rows if row.enabled and row.compatibility == "ok"],
            downloadable=[item for item in items if not item.installed],
            programs=programs,
        )

    async def resources(self) -> Resources:
        """The room there is, and what models, downloads and quarantine take of it."""
        return await self._house.db.reading(self._resources)

    async def register(self, caller: Caller, request: ModelRegister) -> LocalModel:
        """Register a file that lies in the models folder; one that is no model goes into quarantine."""
        with self._house.work.doing("register"):
            found = self._shelf.stat(request.path)
            if found is None:
                raise NotFound(f"There is no file {request.path!r} in the models folder.")
            try:
                registration = await self._read(found, request)
            except BadModelFile as error:
                raise await self.put_aside(found, error) from error
            async with self._desk.moving:
                row, orphan = await self._house.db.writing(self._register, caller, request, registration)
                if orphan is not None:
                    self._shelf.remove(orphan)
        return model_on_wire(row)

    async def patch(self, caller: Caller, name: str, change: ModelPatch) -> LocalModel:
        """Change what a person may change."""
        return model_on_wire(await self._house.db.writing(self._patch, caller, name, change))

    async def remove(self, caller: Caller, name: str) -> LocalModel:
        """Delete a model's row, and its file unless another row shares it; the row as it was.

        Hermes cannot see what Switch has loaded: the event `model.removed` tells it, and the file's bytes
        stay readable to a worker that holds them open.
        """
        async with self._desk.moving:
            row, is_last = await self._house.db.writing(self._remove, caller, name)
            if is_last:
                self._shelf.remove(row.path)
        return model_on_wire(row)

    async def absorb_usage(self) -> None:
        """Add what Switch has counted since the last time to `usage_count` and `last_used_at`."""
        if await self._house.db.reading(self._has_news):
            await self._house.db.writing(self._absorb)

    async def put_aside(self, found: FoundFile, error: BadModelFile) -> BadModelFile:
        """Put a file of the shelf into quarantine; the error, saying so."""
        name = Path(found.path).name
        async with self._desk.moving:
            where = self._shelf.quarantine(self._shelf.path_of(found.path), name, error.detail)
            await self._house.db.writing(self._desk.tell_quarantined, where, error.detail)
        return BadModelFile(
            f"{error.detail} It was put into quarantine as {where}.", extra={**error.extra, "quarantined": where}
        )

    def _catalogue(self, session: Session) -> list[CatalogueItem]:
        here = {row.name for row in store.all_models(session) if row.compatibility != "missing"}
        coming = {job.name: job.job_id for job in store.live_jobs(session)}
        return [
            CatalogueItem(**entry.model_dump(), installed=entry.name in here, job_id=coming.get(entry.name))
            for entry in self._desk.catalogue.entries.values()
        ]

    def _resources(self, session: Session) -> Resources:
        rows = [row for row in store.all_models(session) if row.compatibility != "missing"]
        quarantined = self._shelf.quarantined()
        space = self._shelf.space()
        return Resources(
            disk_total_bytes=space.total,
            disk_free_bytes=space.free,
            reserve_bytes=self._shelf.reserve_bytes,
            models=len(rows),
            models_bytes=sum({row.path: row.size_bytes for row in rows}.values()),
            partial_bytes=self._shelf.partial_bytes(),
            quarantined_files=len(quarantined),
            quarantined_bytes=sum(quarantined),
            downloads_live=len(store.live_jobs(session)),
            downloads_at_once=self._house.settings.hermes.parallel_downloads,
        )

    async def _read(self, found: FoundFile, request: ModelRegister) -> Registration:
        registration = await asyncio.to_thread(read_registration, self._desk, found)
        wanted = request.sha256.lower() if request.sha256 else registration.sha256
        if registration.sha256 != wanted:
            raise BadModelFile(
                f"The file's SHA-256 is {registration.sha256}, not {wanted} as promised.",
                extra={"expected_sha256": wanted, "actual_sha256": registration.sha256},
            )
        return registration

    def _register(
        self, session: Session, caller: Caller, request: ModelRegister, registration: Registration
    ) -> tuple[LocalModelV2, str | None]:
        """The row, and the path of a file that it leaves to nobody."""
        name = request.name or proper_name(self._desk, registration)
        here = store.model_named(session, name)
        before = None if here is None else here.path
        if here is not None and here.sha256 != registration.sha256 and not request.replace:
            raise Conflict(
                f"There is another model called {name!r} here.",
                hint="Register it under another name, or send replace: true.",
            )
        row = self._desk.put(session, name, registration)
        row.tags = request.tags or row.tags
        row.task_type = request.task_type or row.task_type
        self._desk.note(session, caller, "model.register", name, {"path": row.path, "sha256": row.sha256})
        session.flush()
        left = before is not None and before != row.path and store.model_at(session, before) is None
        return row, before if left else None

    def _patch(self, session: Session, caller: Caller, name: str, change: ModelPatch) -> LocalModelV2:
        row = self._desk.model(session, name)
        changes = change.model_dump(exclude_none=True)
        for field, value in changes.items():
            setattr(row, field, value)
        if changes:
            row.updated_at = self._desk.now
            self._desk.note(session, caller, "model.patch", name, changes)
            self._desk.tell(session, "model.changed", row, changes=changes)
        return row

    def _remove(self, session: Session, caller: Caller, name: str) -> tuple[LocalModelV2, bool]:
        row = self._desk.model(session, name)
        session.delete(row)
        session.flush()
        is_last = store.model_at(session, row.path) is None
        detail = {"path": row.path, "sha256": row.sha256, "file_removed": is_last}
        self._desk.note(session, caller, "model.delete", name, detail)
        self._desk.tell(session, "model.removed", row)
        return row, is_last

    def _has_news(self, session: Session) -> bool:
        return any(store.uses_since(session, row.name, _seen(row)) for row in store.all_models(session))

    def _absorb(self, session: Session) -> None:
        for row in store.all_models(session):
            uses = store.uses_since(session, row.name, _seen(row))
            if uses is not None:
                row.usage_count += uses.count
                row.last_used_at = uses.last_at
                row.meta_info = {**row.meta_info, "usage_seen_id": uses.last_id}


def read_registration(desk: Desk, found: FoundFile) -> Registration:
    """Read a file of the shelf through; BadModelFile if it is not a whole model. Blocks."""
    path = desk.shelf.path_of(found.path)
    card = card_of(desk.shelf.header(path))
    sha256 = sha256_of_file(path)
    entry = desk.catalogue.of_file(sha256)
    return Registration(
        path=found.path,
        size=found.size,
        modified_ns=found.modified_ns,
        sha256=sha256,
        card=card,
        licence=entry.licence if entry else None,
        tags=list(entry.tags) if entry else [],
    )


def proper_name(desk: Desk, registration: Registration) -> str:
    """The catalogue's name for this very file, else one made from the file's name."""
    entry = desk.catalogue.of_file(registration.sha256)
    return entry.name if entry else safe_name(Path(registration.path).name.lower().removesuffix(".gguf"))


def _seen(row: LocalModelV2) -> int:
    return int(row.meta_info.get("usage_seen_id", 0))
