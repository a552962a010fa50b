"""Writers take turns, as on SQLite: what everything above the database relies on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from config.db import Database
from config.db_schema import EventRow, SystemState
from config.errors import Invalid, Unavailable
from config.events import Journal
from config.postgres import Postgres, PostgresWatcher
from tests.support.clock import ManualClock
from tests.support.eventually import eventually

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def tell(database: Database, what: str, held: threading.Event | None = None) -> None:
    """Append an event; the write stays open until `held` is set."""
    with database.write() as session:
        Journal(database, "madre", ManualClock()).append(session, what, {})
        session.flush()
        if held is not None:
            assert held.wait(20)


@contextmanager
def beside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as threads:
        yield threads


async def waiting(database: Database, count: int) -> None:
    """Return once so many writers wait for their turn."""
    standing = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")

    async def look() -> int:
        return int(await database.reading(lambda session: session.scalar(standing) or 0))

    await eventually(look, lambda found: found >= count)


async def writing(database: Database) -> None:
    """Return once a writer has its turn."""
    held = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted")

    async def look() -> int:
        return int(await database.reading(lambda session: session.scalar(held) or 0))

    await eventually(look, bool)


async def test_ids_become_visible_in_their_order(database: Database) -> None:
    """A later write that overtook an earlier one would be read first, and the earlier one never."""
    other, go_on = Database(database.url), threading.Event()
    with beside() as threads:
        first = threads.submit(tell, database, "first", go_on)
        await writing(other)
        second = threads.submit(tell, other, "second")
        await waiting(other, 1)
        go_on.set()
        await asyncio.gather(*map(asyncio.wrap_future, (first, second)))
    async with aclosing(Journal(other, "switch", ManualClock()).subscribe(after=0)) as events:
        assert [(await anext(events)).type for _ in range(2)] == ["first", "second"]
    other.close()


async def test_whoever_came_first_writes_first(database: Database) -> None:
    go_on, crowd = threading.Event(), [Database(database.url) for _ in range(6)]
    with beside() as threads:
        told: list[Future[None]] = [threads.submit(tell, database, "holder", go_on)]
        await writing(database)
        for number, one in enumerate(crowd):
            told.append(threads.submit(tell, one, f"{number}"))
            await waiting(database, number + 1)
        go_on.set()
        await asyncio.gather(*map(asyncio.wrap_future, told))
    with database.read() as session:
        types = list(session.scalars(select(EventRow.type).order_by(EventRow.id)))
    assert types == ["holder", "0", "1", "2", "3", "4", "5"]
    for one in crowd:
        one.close()


def test_a_writer_that_stops_in_the_middle_loses_its_turn(database: Database) -> None:
    stuck = Database(f"{database.url}&options=-c%20idle_in_transaction_session_timeout%3D200")

    def get_stuck() -> None:
        with stuck.write() as session:
            session.add(SystemState(key="stuck", value={}, updated_at=NOW))
            session.flush()
            tell(database, "the next one")

    with pytest.raises(Unavailable, match="does not answer"):
        get_stuck()
    with database.read() as session:
        assert session.scalars(select(SystemState)).all() == []
        assert session.scalars(select(EventRow.type)).all() == ["the next one"]
    with stuck.write() as session:
        session.add(SystemState(key="awake", value={}, updated_at=NOW))
    stuck.close()


async def test_the_bell_rings_for_what_is_committed(database: Database) -> None:
    watcher = Postgres(database.url, 1000).watcher()
    async with asyncio.timeout(20):
        heard = asyncio.ensure_future(watcher.committed())
        await asyncio.to_thread(tell, database, "heard")
        await heard
    assert not has_rung(watcher)
    with pytest.raises(LookupError):
        await database.writing(_fail)
    with database.read() as session:
        session.scalar(select(EventRow.id))
    assert not has_rung(watcher)
    tell(database, "heard too")
    assert has_rung(watcher)
    watcher.close()


def has_rung(watcher: PostgresWatcher) -> bool:
    """Whether the bell rang; asks the server first, so that nothing can still be on its way."""
    watcher._connection.pgconn.exec_(b"SELECT 1")
    return watcher._has_rung()


def _fail(session: Session) -> None:
    session.add(SystemState(key="lost", value={}, updated_at=NOW))
    session.flush()
    raise LookupError


@pytest.mark.parametrize("key", ["nul \x00", "long " * 100])
def test_what_a_column_cannot_hold_is_the_callers_mistake(database: Database, key: str) -> None:
    with pytest.raises(Invalid, match="cannot keep"), database.write() as session:
        session.add(SystemState(key=key, value={}, updated_at=NOW))
    with database.write() as session:
        session.add(SystemState(key="good", value={"nul": "\x00"}, updated_at=NOW))
