"""The event journal: one append-only table that is outbox and bus at once.

An event is appended in the same unit of work as the change it tells of, so neither is ever there
without the other, and nothing is broadcast that is not stored. Subscribers in any process notice that
something was committed (`Database.watcher`, one for all of a process: `tail.py`) and read on from the last id they
saw; that same id is what SSE's `Last-Event-ID` carries.

Ids become visible in their order, because writers take turns (`config/db.py`): whoever has read up to an id has
missed none below it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from config.clock import Clock
from config.contracts.events import Event, Severity
from config.db import Database
from config.db_schema.kernel import EventRow
from config.errors import Unavailable
from config.logs import correlation_id as current_correlation_id
from config.logs import redacted
from config.tail import BAD_WEATHER_SEC, Tail

MAX_EVENT_BYTES = 4096  # CONTRACT, section 10: what a subscriber gets
MAX_DATA_BYTES = MAX_EVENT_BYTES - 512  # the rest: names, ids and times around it
_PAGE = 200
_APPEND = insert(EventRow.__table__)  # type: ignore[arg-type]  # a mapped class's table is a Table
_log = logging.getLogger(__name__)


class Journal:
    """Appends events of one service, and follows those of all."""

    def __init__(self, database: Database, service: str, clock: Clock) -> None:
        self._db = database
        self._service = service
        self._clock = clock
        self._tail: Tail | None = None

    def append(
        self,
        session: Session,
        type: str,
        data: dict[str, Any],
        *,
        severity: Severity = "info",
        correlation_id: str | None = None,
    ) -> None:
        """Store one event inside the caller's unit of work; ValueError for `data` over MAX_DATA_BYTES as JSON."""
        as_json = redacted(json.dumps(data))
        if len(as_json) > MAX_DATA_BYTES:
            raise ValueError(f"event {type} holds {len(as_json)} bytes of data; at most {MAX_DATA_BYTES} are allowed")
        row = {
            "at": self._clock.now(),
            "type": type,
            "source": self._service,
            "severity": severity,
            "correlation_id": current_correlation_id.get() if correlation_id is None else correlation_id,
            "data": json.loads(as_json),
        }
        session.connection().execute(_APPEND, row)  # nobody follows it as an object, which would cost twice as much

    async def newest(self) -> int:
        """The id of the newest event there is; 0 for none."""
        return await self._db.reading(_last_id)

    async def subscribe(self, after: int | None = None, prefixes: tuple[str, ...] = ()) -> AsyncGenerator[Event, None]:
        """Every event with an id above `after` (None: from now on), in order, for ever.

        `prefixes` keeps only types that start with one of them, e.g. `("power.", "model.")`.
        """
        async with self._followed() as tail:
            last = await self.newest() if after is None else after
            while True:
                news = tail.news  # taken before looking: what comes meanwhile is told
                page = tail.after(last)
                if page is None:
                    page = await self._page(last)
                for event in page:
                    last = event.id
                    if not prefixes or event.type.startswith(prefixes):
                        yield event
                if not page:
                    await tail.told(news)

    @asynccontextmanager
    async def _followed(self) -> AsyncIterator[Tail]:
        """The tail that all of this process share; it is there while somebody follows."""
        if self._tail is None or self._tail.is_over:
            self._tail = Tail(self._db.watcher, self.newest, lambda last: self._db.reading(_page_after, last))
        tail = self._tail
        tail.followers += 1
        try:
            yield tail
        finally:
            tail.followers -= 1
            if not tail.followers:
                self._tail = None if self._tail is tail else self._tail
                await tail.close()

    async def _page(self, last: int) -> list[Event]:
        """The next events after `last`; once the database answers, because a subscriber outlives that it does not."""
        while True:
            try:
                return await self._db.reading(_page_after, last)
            except Unavailable as error:
                _log.warning("events are not read for now: %s", error)
                await asyncio.sleep(BAD_WEATHER_SEC)


def fitting(text: str, most_bytes: int) -> str:
    """As much of `text` from its beginning as takes no more than `most_bytes` in an event: JSON writes what is not
    ASCII in six or twelve of them."""
    text = text[:most_bytes]
    while (size := len(json.dumps(text)) - 2) > most_bytes:  # without its quotation marks
        text = text[: len(text) * most_bytes // size]
    return text


def _last_id(session: Session) -> int:
    return session.scalar(select(func.max(EventRow.id))) or 0


def _page_after(session: Session, last: int) -> list[Event]:
    rows = session.scalars(select(EventRow).where(EventRow.id > last).order_by(EventRow.id).limit(_PAGE))
    return [_event(row) for row in rows]


def _event(row: EventRow) -> Event:
    return Event(
        id=row.id,
        type=row.type,
        source=row.source,
        severity=row.severity,  # type: ignore[arg-type]  # the table holds only what append() was given
        correlation_id=row.correlation_id,
        timestamp=row.at,
        data=row.data,
    )
