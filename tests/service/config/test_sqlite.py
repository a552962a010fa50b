"""What is so on SQLite alone: its settings, its versions, a full disk, a file that another program locks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from config.db import Database
from config.db_schema import Base, SystemState
from config.errors import DiskFull, Unavailable
from config.sqlite import Sqlite, sqlite_module, wal_is_safe
from tests.support.small_disk import small_disk

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A file, whatever the other tests run on."""
    database = Database(f"sqlite:///{tmp_path / 'vx11.db'}")
    Base.metadata.create_all(database.writer)
    yield database
    database.close()


def state(key: str, **value: object) -> SystemState:
    return SystemState(key=key, value=value, updated_at=NOW)


def keys(session: Session) -> list[str]:
    return list(session.scalars(select(SystemState.key).order_by(SystemState.key)))


@pytest.mark.parametrize("engine", ["_writer", "_reader"])
def test_every_connection_has_the_settings_of_the_house(database: Database, engine: str) -> None:
    names = ("journal_mode", "auto_vacuum", "foreign_keys", "synchronous", "busy_timeout", "mmap_size", "query_only")
    with getattr(database, engine).connect() as connection:
        found = {name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in names}
    assert found == {
        "journal_mode": "wal" if wal_is_safe(sqlite_module().sqlite_version_info) else "delete",
        "auto_vacuum": 2,
        "foreign_keys": 1,
        "synchronous": 1 if wal_is_safe(sqlite_module().sqlite_version_info) else 2,
        "busy_timeout": 10_000,
        "mmap_size": 0,
        "query_only": 0 if engine == "_writer" else 1,
    }


def test_connecting_writes_nothing(database: Database) -> None:
    """Or the commit watcher of every process would wake for each new connection, and a full disk be unreadable."""
    watcher = Sqlite(database.url, None, 1000).watcher()
    newcomer = Database(database.url)
    with newcomer.read() as session:
        keys(session)
    with newcomer.writer.connect() as connection:
        connection.execute(text("SELECT 1"))
    assert not watcher.moved()
    watcher.close()
    newcomer.close()


def test_the_house_brings_a_safe_sqlite() -> None:
    assert wal_is_safe(sqlite_module().sqlite_version_info)


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
        assert database.integrity() == "ok"
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
