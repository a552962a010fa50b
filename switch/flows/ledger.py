"""Rows that are written behind: many finished requests in one write, so that none waits for the disk.

A row waits for at most `DELAY_SEC`; a stop writes what waits, a `kill -9` loses it. What holds money or a promise is
not written behind: `keep_now` returns once it is on the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterable

from config.app import House
from config.db_schema.base import Base
from config.errors import Unavailable, VX11Error
from switch import store
from switch.rows import Bill

_log = logging.getLogger(__name__)
DELAY_SEC = 0.25
_MOST_WAITING = 20_000


class Ledger:
    """The rows of one Switch on their way to the database."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._rows: list[Base] = []
        self._bills: list[Bill] = []
        self._writing = asyncio.Lock()
        self._timer: asyncio.Task[None] | None = None

    def keep(self, rows: Iterable[Base], bills: Iterable[Bill] = ()) -> None:
        """Write these soon."""
        self._take(rows, bills)
        if self._timer is None:
            self._timer = asyncio.create_task(self._soon())

    async def keep_now(self, rows: Iterable[Base], bills: Iterable[Bill] = ()) -> None:
        """Write these, and whatever waits, before this returns."""
        self._take(rows, bills)
        await self.flush()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write what waits when the service stops."""
        try:
            yield
        finally:
            if self._timer is not None:
                self._timer.cancel()
            await self.flush()

    async def flush(self) -> None:
        """Write everything that waits. Never raises: a full disk must not undo an answer already given."""
        async with self._writing:
            rows, bills = self._rows, self._bills
            self._rows, self._bills = [], []
            if not rows and not bills:
                return
            try:
                await self._house.db.writing(store.add, rows, bills)
            except Unavailable as error:  # a busy database: once more with the next ones
                _log.warning("%d rows of finished requests wait: %s", len(rows), error.detail)
                self._rows, self._bills = rows + self._rows, bills + self._bills
            except VX11Error as error:
                _log.error("%d rows of finished requests were not kept: %s", len(rows), error.detail)

    def _take(self, rows: Iterable[Base], bills: Iterable[Bill]) -> None:
        self._rows.extend(rows)
        self._bills.extend(bills)
        if len(self._rows) > _MOST_WAITING:  # nobody can fill the memory through a database that stays busy
            _log.error("%d rows of finished requests were dropped", len(self._rows) - _MOST_WAITING)
            del self._rows[:-_MOST_WAITING]

    async def _soon(self) -> None:
        try:
            await asyncio.sleep(DELAY_SEC)
        finally:
            self._timer = None
        await self.flush()
