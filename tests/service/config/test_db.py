"""The database under what it must bear: many processes, full disks, locks, sudden deaths, old SQLites."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from config.db import Database, integrity, sqlite_module, wal_is_safe
from config.db_schema import Base, EventRow, SystemState
from config.errors import DiskFull, Unavailable
from tests.support import crowd
from tests.support.small_disk import small_disk

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
    url = f"sqlite:///{tmp_path / 'new' / 'vx11.db'}"
    crowd.crowd(crowd.open_new, *[(url,)] * 9)
    database = Database(url)
    assert integrity(database) == "ok"
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
        with pytest.raises(OperationalError, match="readonly"):
            session.flush()
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


@pytest.mark.parametrize("engine", ["_writer", "_reader"])
def test_every_connection_has_the_settings_of_the_house(database: Database, engine: str) -> None:
    names = ("journal_mode", "auto_vacuum", "foreign_keys", "synchronous", "busy_timeout", "mmap_size", "query_only")
    with getattr(database, engine).connect() as connection:
        found = {name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in names}
    assert found == {
        "journal_mode": "wal" if wal_is_safe(database._driver.sqlite_version_info) else "delete",
        "auto_vacuum": 2,
        "foreign_keys": 1,
        "synchronous": 1 if wal_is_safe(database._driver.sqlite_version_info) else 2,
        "busy_timeout": 10_000,
        "mmap_size": 0,
        "query_only": 0 if engine == "_writer" else 1,
    }


def test_connecting_writes_nothing(database: Database) -> None:
    """Or the commit watcher of every process would wake for each new connection, and a full disk be unreadable."""
    watcher = database.watcher()
    newcomer = Database(database.url)
    with newcomer.read() as session:
        keys(session)
    with newcomer.writer.connect() as connection:
        connection.execute(text("SELECT 1"))
    assert not watcher.moved()
    watcher.close()
    newcomer.close()


def test_the_house_brings_a_safe_sqlite(database: Database) -> None:
    assert wal_is_safe(database._driver.sqlite_version_info)


def old_sqlite() -> ModuleType:
    """The standard library's driver, said to be of a version with the WAL-reset bug."""
    driver = ModuleType("sqlite_of_debian_12")
    driver.__dict__.update(vars(sqlite3.dbapi2))
    driver.__dict__.update(sqlite_version="3.40.1", sqlite_version_info=(3, 40, 1))
    return driver


def test_an_old_sqlite_falls_back_to_a_rollback_journal_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'old.db'}", driver=old_sqlite())
    Base.metadata.create_all(database.writer)
    with database.write() as session:
        session.add(state("kept"))
        assert session.execute(text("PRAGMA journal_mode")).scalar() == "delete"
        assert session.execute(text("PRAGMA synchronous")).scalar() == 2
    with database.read() as session:
        assert keys(session) == ["kept"]
    assert "3.40.1 can corrupt a shared WAL file" in caplog.text
    assert not (tmp_path / "old.db-wal").exists()
    database.close()


def fill(database: Database) -> int:
    """Write rows until the database refuses; how many it took."""
    for number in range(10_000):
        with database.write() as session:
            session.add(state(f"{number:05}", blob="x" * 50_000))
    raise AssertionError("the disk is larger than this test thinks")


def test_a_full_disk_is_said_and_what_was_kept_stays_readable(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 2) as folder:
        database = Database(f"sqlite:///{folder / 'vx11.db'}")
        Base.metadata.create_all(database.writer)
        with pytest.raises((DiskFull, Unavailable), match="full"):  # Unavailable where only file sizes are limited
            fill(database)
        with database.read() as session:
            kept = keys(session)
        assert len(kept) > 10
        assert kept == [f"{number:05}" for number in range(len(kept))]
        assert integrity(database) == "ok"
        database.close()


def test_a_database_locked_too_long_is_said_and_works_again_later(tmp_path: Path) -> None:
    path = tmp_path / "vx11.db"
    database = Database(f"sqlite:///{path}", busy_timeout_ms=50)
    Base.metadata.create_all(database.writer)
    # The same SQLite, not the standard library's: two copies in one process do not see each other's locks.
    intruder = sqlite_module().connect(str(path), isolation_level=None)
    intruder.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="busy") as caught, database.write() as session:
        session.add(state("too early"))
    assert caught.value.retry_after_sec == 1
    intruder.execute("COMMIT")
    intruder.close()
    with database.write() as session:
        session.add(state("in time"))
    with database.read() as session:
        assert keys(session) == ["in time"]
    database.close()


def test_a_writer_of_the_same_process_that_takes_too_long_is_said_too(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'vx11.db'}", busy_timeout_ms=50)
    Base.metadata.create_all(database.writer)
    with database.write() as first:
        first.add(state("first"))
        first.flush()
        with pytest.raises(Unavailable, match="busy"), database.write() as second:
            second.add(state("second"))
    with database.read() as session:
        assert keys(session) == ["first"]
    database.close()


def test_a_writer_killed_in_the_middle_leaves_whole_units_of_work(database: Database) -> None:
    process = crowd.started(crowd.batches, (database.url,))
    assert process.stdout is not None
    committed = [int(process.stdout.readline()) for _ in range(30)]
    process.kill()
    rest, _ = process.communicate(timeout=10)
    committed += [int(line) for line in rest.split()]
    assert process.returncode == -signal.SIGKILL

    assert integrity(database) == "ok"
    with database.read() as session:
        sizes = Counter(row.data["number"] for row in session.scalars(select(EventRow)))
    assert set(committed) <= set(sizes)
    assert set(sizes.values()) == {crowd.BATCH}
    with database.write() as session:
        session.add(state("life goes on"))
