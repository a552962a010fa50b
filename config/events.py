"""The event journal: one append-only table that is outbox and bus at once.

An event is appended in the same unit of work as the change it tells of, so neither is ever there
without the other, and nothing is broadcast that is not stored. Subscribers in any process notice that
something was committed (`Database.watcher`) and read on from the last id they saw; that same id is what
SSE's `Last-Event-ID` carries.

Ids become visible in their order, because writers take turns (`config/db.py`): whoever has read up to an id has
missed none below it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from config.clock import Clock
from config.contracts.events import Event, Severity
from config.db import CommitWatcher, Database
from config.db_schema.kernel import EventRow
from config.errors import Unavailable
from config.logs import correlation_id as current_correlation_id
from config.logs import redacted

MAX_EVENT_BYTES = 4096  # CONTRACT, section 10: what a subscriber gets
MAX_DATA_BYTES = MAX_EVENT_BYTES - 512  # the rest: names, ids and times around it
_PAGE = 200
_BAD_WEATHER_SEC = 1.0
_APPEND = insert(EventRow.__table__)  # type: ignore[arg-type]  # a mapped class's table is a Table
_log = logging.getLogger(__name__)


class Journal:
    """Appends events of one service, and follows those of all."""

    def __init__(self, database: Database, service: str, clock: Clock) -> None:
        self._db = database
        self._service = service
        self._clock = clock

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
        watcher = await asyncio.to_thread(self._db.watcher)
        try:
            last = await self.newest() if after is None else after
            while True:
                page = await self._page(last)
                for event in page:
                    last = event.id
                    if not prefixes or event.type.startswith(prefixes):
                        yield event
                if len(page) < _PAGE:
                    await _next_commit(watcher)
        finally:
            watcher.close()

    async def _page(self, last: int) -> list[Event]:
        """The next events; none while the database does not answer, because a subscriber outlives that."""
        try:
            return await self._db.reading(_page_after, last)
        except Unavailable as error:
            _log.warning("events are not read for now: %s", error)
            return []


def fitting(text: str, most_bytes: int) -> str:
    """As much of `text` from its beginning as takes no more than `most_bytes` in an event: JSON writes what is not
    ASCII in six or twelve of them."""
    text = text[:most_bytes]
    while (size := len(json.dumps(text)) - 2) > most_bytes:  # without its quotation marks
        text = text[: len(text) * most_bytes // size]
    return text


async def _next_commit(watcher: CommitWatcher) -> None:
    """Return soon after another connection committed, or once it may have while nobody could tell."""
    try:
        await watcher.committed()
    except Unavailable:
        await asyncio.sleep(_BAD_WEATHER_SEC)


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
