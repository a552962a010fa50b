"""The database under what it must bear, whichever it is: many processes, long writes, sudden deaths."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from config.db import Database
from config.db_schema import EventRow, SystemState
from config.errors import Unavailable
from tests.support import crowd, databases

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def state(key: str, **value: object) -> SystemState:
    return SystemState(key=key, value=value, updated_at=NOW)


def keys(session: Session) -> list[str]:
    return list(session.scalars(select(SystemState.key).order_by(SystemState.key)))


def test_nine_processes_count_together_without_losing_one(database: Database) -> None:
    with database.write() as session:
        session.add(state("tally", n=0))
    crowd.crowd(crowd.tally, *[(database.url, 100)] * 9)
    with database.read() as session:
        assert session.get_one(SystemState, "tally").value == {"n": 900}


def test_several_processes_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    url = databases.url_in(tmp_path / "new", empty=True)
    crowd.crowd(crowd.open_new, *[(url,)] * 9)
    database = Database(url)
    assert database.integrity() == "ok"
    database.close()


def test_a_unit_of_work_commits_whole_or_not_at_all(database: Database) -> None:
    with database.write() as session:
        session.add(state("kept"))

    def fail() -> None:
        with database.write() as session:
            session.add(state("lost"))
            session.flush()
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    with database.read() as session:
        assert keys(session) == ["kept"]


async def test_coroutines_work_in_units_too(database: Database) -> None:
    def keep(session: Session, key: str, *, fail: bool = False) -> str:
        session.add(state(key))
        session.flush()
        if fail:
            raise LookupError
        return key.upper()

    assert await database.writing(keep, "kept") == "KEPT"
    with pytest.raises(LookupError):
        await database.writing(keep, "lost", fail=True)
    assert await database.reading(keys) == ["kept"]


async def test_no_peer_can_be_awaited_inside_a_unit_of_work(database: Database) -> None:
    """`writing` takes a plain function and runs it where no event loop is: there is nothing to await with."""

    def work(session: Session) -> threading.Thread:
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        return threading.current_thread()

    assert await database.writing(work) is not threading.main_thread()


def test_a_read_session_cannot_write(database: Database) -> None:
    with database.read() as session:
        session.add(state("smuggled"))
        with pytest.raises(DBAPIError, match=r"read-?only"):
            session.flush()
    with database.read() as session:
        assert keys(session) == []


@pytest.mark.parametrize("kind", ["read", "write"])
def test_a_unit_of_work_may_outlive_the_close_and_then_lets_go(database: Database, kind: str) -> None:
    with getattr(database, kind)() as session:
        pool = session.connection().engine.pool
        database.close()
        assert keys(session) == []
    assert isinstance(pool, QueuePool)
    assert (pool.checkedin(), pool.checkedout()) == (0, 0)
    with database.read() as session:
        assert keys(session) == []


def test_a_read_session_sees_one_moment(database: Database) -> None:
    with database.read() as session:
        assert keys(session) == []
        with database.write() as writing:
            writing.add(state("later"))
        assert keys(session) == []
    with database.read() as session:
        assert keys(session) == ["later"]


@pytest.mark.parametrize("where", ["the same process", "another"])
def test_a_write_that_takes_too_long_is_said_to_those_who_wait(database: Database, where: str) -> None:
    hasty = Database(database.url, busy_timeout_ms=50)
    slow = hasty if where == "the same process" else database
    with slow.write() as first:
        first.add(state("first"))
        first.flush()
        with pytest.raises(Unavailable, match="busy") as caught, hasty.write() as second:
            second.add(state("second"))
        assert caught.value.retry_after_sec == 1
        with hasty.read() as session:
            assert keys(session) == []
    with hasty.write() as second:
        second.add(state("in time"))
    with hasty.read() as session:
        assert keys(session) == ["first", "in time"]
    hasty.close()


def test_a_writer_killed_in_the_middle_leaves_whole_units_of_work(database: Database) -> None:
    process = crowd.started(crowd.batches, (database.url,))
    assert process.stdout is not None
    committed = [int(process.stdout.readline()) for _ in range(30)]
    process.kill()
    rest, _ = process.communicate(timeout=10)
    committed += [int(line) for line in rest.split()]
    assert process.returncode == -signal.SIGKILL

    assert database.integrity() == "ok"
    with database.read() as session:
        sizes = Counter(row.data["number"] for row in session.scalars(select(EventRow)))
    assert set(committed) <= set(sizes)
    assert set(sizes.values()) == {crowd.BATCH}
    with database.write() as session:
        session.add(state("life goes on"))
