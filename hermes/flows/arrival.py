"""From a source to a registered model: is it here, does it fit, fetch, verify, put in place, register.

Each step can be cut off by a kill: the fetched bytes are in the tray, and before the file moves from there to
its place its hash is noted in the tray, so a resumed job recognises it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from sqlalchemy.orm import Session

from config.contracts.models import CatalogueModel
from config.errors import BadModelFile, Unavailable, VX11Error
from hermes import store
from hermes.adapters.fetcher import Fetcher
from hermes.adapters.https import SourceChanged
from hermes.adapters.lookout import Lookout, Sight
from hermes.adapters.receiver import sha256_of_file
from hermes.adapters.shelf import FoundFile, Tray
from hermes.adapters.weather import disk_weather
from hermes.adapters.work import JobWork
from hermes.cards import Card, card_of
from hermes.fits import ensure_fits, memory_need
from hermes.flows.desk import Desk
from hermes.orders import Expectation, Order
from hermes.rows import Registration
from hermes.sources import HubSource, Source, WebSource

_LOOKS: Final = 3
_log = logging.getLogger(__name__)


class Arrival:
    """Brings one order's model into the registry; `fetchers` by the type of source."""

    def __init__(self, desk: Desk, lookout: Lookout, fetchers: Mapping[type, Fetcher[Any]]) -> None:
        self._desk = desk
        self._shelf = desk.shelf
        self._lookout = lookout
        self._fetchers = fetchers

    async def bring(self, order: Order, work: JobWork) -> None:
        """Do all of it; what is left in the tray afterwards depends on how it ended (see `pulls`)."""
        tray = self._shelf.tray(str(order.source))
        await work.in_thread(tray.prepare)
        try:
            if not await self._is_here(order, tray, work):
                await self._look_and_fetch(order, tray, work)
        except BadModelFile as error:
            raise await self._quarantined(order, tray, work, error) from error
        except Unavailable:
            raise
        except VX11Error:
            await work.in_thread(tray.discard)
            raise
        await work.in_thread(tray.discard)

    async def _is_here(self, order: Order, tray: Tray, work: JobWork) -> bool:
        """Register a file of the shelf that is what is ordered, if there is one: nothing need be fetched."""
        expected = _arrived(tray) or order.expected
        if expected.sha256 is None:
            return False
        twin = await self._twin(expected, work)
        if twin is None:
            return False
        header = await work.in_thread(self._shelf.header, self._shelf.path_of(twin.path))
        async with self._desk.moving:
            work.settling = True
            await self._register(order, twin, expected.sha256, card_of(header))
        return True

    async def _twin(self, expected: Expectation, work: JobWork) -> FoundFile | None:
        """A file of the shelf with the expected hash: a registered one, or one of the expected size, read through."""
        row = await self._desk.house.db.reading(store.model_with_hash, str(expected.sha256))
        if row is not None and (found := self._shelf.stat(row.path)) is not None and found.size == row.size_bytes:
            return found
        if expected.size_bytes is None:
            return None
        work.verifying(expected.size_bytes)
        return await work.in_thread(self._look_for, expected, work)

    def _look_for(self, expected: Expectation, work: JobWork) -> FoundFile | None:
        for found in self._shelf.files():
            if found.size != expected.size_bytes:
                continue
            if sha256_of_file(self._shelf.path_of(found.path), work.at) == expected.sha256:
                return found
        return None

    async def _look_and_fetch(self, order: Order, tray: Tray, work: JobWork) -> None:
        """Fetch what was looked at; where it has become another file in between, look again."""
        for _ in range(_LOOKS):
            sight = await self._sight(order, tray, work)
            if sight is None:
                return await self._fetch(order, order.source, tray, work)
            seen = order_seen(order, sight)
            self._ensure_fits(seen, sight, tray)
            if seen.expected.sha256 != order.expected.sha256 and await self._is_here(seen, tray, work):
                return None
            try:
                return await self._fetch(seen, sight.target, tray, work)
            except SourceChanged:
                _log.warning("%s changed between looking and fetching", order.name)
        raise Unavailable(f"The file changed {_LOOKS} times between looking at it and fetching it.")

    async def _sight(self, order: Order, tray: Tray, work: JobWork) -> Sight | None:
        """The source as it lies there; None for one that cannot be looked at, or that is half here already.

        Where the web does not answer, the fetch that follows has the longer patience.
        """
        match order.source:
            case HubSource():
                work.looking()
                return await self._lookout.look(order.source)
            case WebSource() if not tray.has_bytes:
                work.looking()
                try:
                    return await self._lookout.look(order.source)
                except Unavailable as error:
                    _log.warning("%s could not be looked at: %s", order.name, error.detail)
        return None

    def _ensure_fits(self, order: Order, sight: Sight, tray: Tray) -> None:
        if not order.force and sight.size is not None:
            ensure_fits(order.name, memory_need(sight.header, sight.size, self._desk.machine))
        self._shelf.ensure_room(max(0, (sight.size or 0) - tray.bytes_here))

    async def _fetch(self, order: Order, source: Source, tray: Tray, work: JobWork) -> None:
        fetcher = self._fetchers[type(source)]
        sha256 = await fetcher.fetch(source, tray, order.expected, work)
        card = await work.in_thread(self._verify, order, tray, sha256)
        async with self._desk.moving:
            work.settling = True
            found = await self._settle(order, tray, sha256, work)
            await self._register(order, found, sha256, card)

    def _verify(self, order: Order, tray: Tray, sha256: str) -> Card:
        """The card of what arrived; BadModelFile if it is not whole or not what was promised."""
        wanted = order.expected.sha256
        if wanted is not None and sha256 != wanted:
            raise BadModelFile(
                f"The file's SHA-256 is {sha256}, not {wanted} as promised.",
                extra={"expected_sha256": wanted, "actual_sha256": sha256},
            )
        return card_of(self._shelf.header(tray.partial))

    async def _settle(self, order: Order, tray: Tray, sha256: str, work: JobWork) -> FoundFile:
        """Where the file is to stay: beside a registered twin nothing is stored twice, else it moves to its place."""
        twin = await self._twin(Expectation(sha256), work)
        if twin is not None:
            return twin
        return await work.in_thread(self._place, order, tray, sha256)

    def _place(self, order: Order, tray: Tray, sha256: str) -> FoundFile:
        with disk_weather():
            note = {"sha256": sha256, "size_bytes": tray.partial.stat().st_size}
            tray.arrived.write_text(json.dumps(note), encoding="utf-8")
            relative = self._shelf.place(tray.partial, order.name, sha256)
        found = self._shelf.stat(relative)
        assert found is not None
        return found

    async def _register(self, order: Order, found: FoundFile, sha256: str, card: Card) -> None:
        registration = Registration(
            path=found.path,
            size=found.size,
            modified_ns=found.modified_ns,
            sha256=sha256,
            card=card,
            source=str(order.source),
            resolved=order.resolved,
            tags=order.tags,
        )
        about = order.entry or self._desk.catalogue.of_file(sha256)
        await self._desk.house.db.writing(self._put, order.name, _with_licence(registration, about))

    def _put(self, session: Session, name: str, registration: Registration) -> None:
        self._desk.put(session, name, registration)

    async def _quarantined(self, order: Order, tray: Tray, work: JobWork, error: BadModelFile) -> BadModelFile:
        """Put what arrived aside; the error, saying so."""
        if not tray.partial.exists():
            await work.in_thread(tray.discard)
            return error
        name = f"{order.name}.gguf"
        where = await work.in_thread(self._shelf.quarantine, tray.partial, name, error.detail)
        await work.in_thread(tray.discard)
        await self._desk.house.db.writing(self._desk.tell_quarantined, where, error.detail)
        return BadModelFile(
            f"{error.detail} It was put into quarantine as {where}.",
            hint=error.hint,
            extra={**error.extra, "quarantined": where},
        )


def order_seen(order: Order, sight: Sight) -> Order:
    """The order with what the look has told; BadModelFile where that is not what was promised."""
    promised, listed = order.expected.sha256, sight.sha256
    if promised and listed and promised != listed:
        raise BadModelFile(
            f"The file there has the SHA-256 {listed}, not {promised} as promised; nothing was fetched.",
            extra={"expected_sha256": promised, "actual_sha256": listed},
        )
    known = Expectation(promised or listed, sight.size, sight.size, sight.origin)
    return replace(order, expected=known, resolved=sight.resolved)


def _arrived(tray: Tray) -> Expectation | None:
    """What a killed predecessor of this job had verified and was putting in its place."""
    try:
        note = json.loads(tray.arrived.read_text(encoding="utf-8"))
        return Expectation(str(note["sha256"]), int(note["size_bytes"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _with_licence(registration: Registration, entry: CatalogueModel | None) -> Registration:
    return registration if entry is None else replace(registration, licence=entry.licence)
