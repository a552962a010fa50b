"""The rows of finished requests on their way to the database: many requests in one write, none of them lost.

`keep_safely` puts a request's rows into a spool before it returns, which a `kill -9` does not undo, and writes them to
the database within a quarter of a second; the next life writes what was left there. `keep_now` returns once they are
in the database. `keep` is for rows that nobody was promised.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from config.app import House
from config.db_schema.base import Base
from config.errors import Unavailable, VX11Error
from switch import store
from switch.adapters.spool import Spool
from switch.rows import Bill
from switch.spooled import line_of, record_in

_log = logging.getLogger(__name__)
_DELAY_SEC = 0.25
_MOST_WAITING = 20_000


class Ledger:
    """The rows of one Switch on their way to the database."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._rows: list[Base] = []
        self._bills: list[Bill] = []
        self._writing = asyncio.Lock()
        self._timer: asyncio.Task[None] | None = None
        self._is_closing = False
        self._spool = Spool(house.settings.runtime_path / "switch-rows")
        self._sealed: list[Path] = []

    def keep(self, rows: Iterable[Base], bills: Iterable[Bill] = ()) -> None:
        """Write these soon."""
        self._take(rows, bills)
        self._later()

    def keep_safely(self, rows: list[Base], bills: list[Bill]) -> None:
        """Write these soon, whatever happens to this process."""
        self._spool.append(line_of(rows, bills))
        self.keep(rows, bills)

    async def keep_now(self, rows: Iterable[Base], bills: Iterable[Bill] = ()) -> None:
        """Write these, and whatever waits, before this returns."""
        self._take(rows, bills)
        await self.flush()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write what an earlier life left, and what waits when the service stops."""
        await self._recover()
        try:
            yield
        finally:
            self._is_closing = True
            if self._timer is not None:
                self._timer.cancel()
            await self.flush()
            self._spool.close()

    async def _recover(self) -> None:
        left = self._spool.left()
        lines = [line for path in left for line in path.read_bytes().splitlines(keepends=True)]
        records = [record for line in lines if (record := record_in(line)) is not None]
        if records:
            count = await self._house.db.writing(store.add_unknown, records)
            _log.warning("rows of %d finished requests, left by an earlier life, were written", count)
        _remove(left)

    async def flush(self) -> None:
        """Write everything that waits. Never raises: a full disk must not undo an answer already given."""
        async with self._writing:
            rows, bills = self._rows, self._bills
            self._rows, self._bills = [], []
            if (sealed := self._spool.seal()) is not None:
                self._sealed.append(sealed)
            spooled = list(self._sealed)
            if not rows and not bills:
                return
            try:
                await self._house.db.writing(store.add, rows, bills)
                _remove(spooled)
                self._sealed = self._sealed[len(spooled) :]
            except Unavailable as error:  # a busy database: once more with the next ones
                _log.warning("%d rows of finished requests wait: %s", len(rows), error.detail)
                self._rows, self._bills = rows + self._rows, bills + self._bills
                self._later()
            except VX11Error as error:
                _log.error("%d rows of finished requests were not kept: %s", len(rows), error.detail)
                self._sealed = []  # what stands there is for the next life

    def _take(self, rows: Iterable[Base], bills: Iterable[Bill]) -> None:
        self._rows.extend(rows)
        self._bills.extend(bills)
        if len(self._rows) > _MOST_WAITING:  # nobody can fill the memory through a database that stays busy
            _log.error("%d rows of finished requests were dropped", len(self._rows) - _MOST_WAITING)
            del self._rows[:-_MOST_WAITING]

    def _later(self) -> None:
        if self._timer is None and not self._is_closing:
            self._timer = asyncio.create_task(self._soon())

    async def _soon(self) -> None:
        try:
            await asyncio.sleep(_DELAY_SEC)
        finally:
            self._timer = None
        await self.flush()


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
