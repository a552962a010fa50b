"""The one database: a writer and a reader engine, units of work, and the only commit.

On SQLite a write is `BEGIN IMMEDIATE … COMMIT` on a writer engine of one connection, so writers wait
their turn instead of failing in the middle; readers use `query_only` connections, so a read session
cannot write even by mistake. SQLite 3.7.0 to 3.51.2 can corrupt a WAL file that several processes share
(sqlite.org/wal.html, the WAL-reset bug), so the house brings its own SQLite (`pysqlite3`), and falls
back to a rollback journal where only an older one is there.

Synchronous SQLAlchemy in threads, because that measured 4 to 9 times faster than aiosqlite.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from config.errors import DiskFull, Unavailable

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)
_BUSY_TIMEOUT_MS = 10_000
_READERS = 4
_INCREMENTAL = 2
_WAL_SAFE_FROM = (3, 51, 3)
_WAL_SAFE_BACKPORTS = ((3, 50, 7), (3, 44, 6))


def sqlite_module() -> ModuleType:
    """The SQLite driver of the house: `pysqlite3` where installed, else the standard library's."""
    try:
        return importlib.import_module("pysqlite3.dbapi2")
    except ImportError:
        return importlib.import_module("sqlite3.dbapi2")


def wal_is_safe(version: tuple[int, ...]) -> bool:
    """Whether this SQLite is free of the WAL-reset bug (fixed in 3.51.3, 3.50.7 and 3.44.6)."""
    if version >= _WAL_SAFE_FROM:
        return True
    return any(version[:2] == fixed[:2] and version >= fixed for fixed in _WAL_SAFE_BACKPORTS)


class Database:
    """Both engines of one process on one database URL.

    `write()` and `read()` are units of work for code that already runs in a thread; coroutines use
    `writing` and `reading`, which run a function in a thread inside one unit of work, so no await can
    stand inside a transaction. `driver` is the SQLite module to use, the house's own unless a test gives one;
    `busy_timeout_ms` is how long a unit of work waits for its turn.
    """

    def __init__(self, url: str, *, driver: ModuleType | None = None, busy_timeout_ms: int = _BUSY_TIMEOUT_MS) -> None:
        self.url = url
        self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
        self._driver = driver or sqlite_module()
        if self.is_sqlite:
            self._writer = _sqlite_engine(url, self._driver, busy_timeout_ms, writes=True)
            self._reader = _sqlite_engine(url, self._driver, busy_timeout_ms, writes=False)
        else:
            self._writer = create_engine(url, pool_size=_READERS)
            self._reader = create_engine(url, pool_size=_READERS, execution_options={"postgresql_readonly": True})
        self._write_sessions = sessionmaker(self._writer, expire_on_commit=False)
        self._read_sessions = sessionmaker(self._reader, expire_on_commit=False)

    @property
    def writer(self) -> Engine:
        """The engine that may write; for migrations and maintenance only."""
        return self._writer

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One unit of work: commits when the block ends, rolls back when it raises."""
        with _weather(), self._write_sessions.begin() as session:
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent view; the database refuses any write made through it."""
        with _weather(), self._read_sessions() as session:
            yield session

    async def writing(self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(session, …)` in a thread inside one write; what it returns is committed when this returns."""

        def unit() -> T:
            with self.write() as session:
                return work(session, *args, **kwargs)

        return await asyncio.to_thread(unit)

    async def reading(self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(session, …)` in a thread on a read-only session."""

        def unit() -> T:
            with self.read() as session:
                return work(session, *args, **kwargs)

        return await asyncio.to_thread(unit)

    def watcher(self) -> CommitWatcher:
        """Something to ask whether another connection has committed; its owner closes it."""
        path = make_url(self.url).database if self.is_sqlite else None
        return CommitWatcher(path, self._driver)

    def close(self) -> None:
        """Close every connection of this process."""
        self._writer.dispose()
        self._reader.dispose()


class CommitWatcher:
    """Notices commits of other connections by `PRAGMA data_version`, about 3 µs a look.

    It has a plain connection of its own, because inside a transaction the version does not move. Where
    there is no SQLite file to watch, every look says "maybe", and the subscriber reads.
    """

    def __init__(self, path: str | None, driver: ModuleType) -> None:
        self._connection = driver.connect(path, check_same_thread=False) if path else None
        self._seen = self._version()

    def _version(self) -> int | None:
        if self._connection is None:
            return None
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def moved(self) -> bool:
        """Whether something was committed since the last look."""
        version = self._version()
        moved = version is None or version != self._seen
        self._seen = version
        return moved

    def close(self) -> None:
        """Close the watching connection."""
        if self._connection is not None:
            self._connection.close()


@contextmanager
def _weather() -> Iterator[None]:
    """Say bad weather in the words of the error tree: a full disk, a database that stays locked."""
    try:
        yield
    except OperationalError as error:
        reason = str(error.orig)
        if "disk is full" in reason:
            raise DiskFull("The disk that holds the database is full; nothing of this request was kept.") from error
        if "disk I/O error" in reason:
            raise Unavailable(
                "The disk that holds the database reports an error; it may be full or failing."
            ) from error
        if "locked" in reason or "busy" in reason:
            raise Unavailable("The database is busy.", retry_after_sec=1) from error
        raise
    except PoolTimeout as error:
        raise Unavailable("The database is busy.", retry_after_sec=1) from error


def _sqlite_engine(url: str, driver: ModuleType, busy_timeout_ms: int, *, writes: bool) -> Engine:
    path = make_url(url).database
    if path and path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(
        url,
        module=driver,
        connect_args={"check_same_thread": False},
        pool_size=1 if writes else _READERS,
        max_overflow=0,
        pool_timeout=busy_timeout_ms / 1000,
    )
    safe = wal_is_safe(driver.sqlite_version_info)
    if not safe:
        _log.error("SQLite %s can corrupt a shared WAL file; using a rollback journal", driver.sqlite_version)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver must not open transactions of its own
        connection.execute(f"PRAGMA busy_timeout = {busy_timeout_ms}")
        # Counts only before the first page is written, and would write on each connect: a full disk could not be read.
        if connection.execute("PRAGMA auto_vacuum").fetchone() != (_INCREMENTAL,):
            connection.execute(f"PRAGMA auto_vacuum = {_INCREMENTAL}")
        for pragma in _pragmas(wal=safe, query_only=not writes):
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _pragmas(*, wal: bool, query_only: bool) -> list[str]:
    """The settings of a connection, in order."""
    return [
        f"PRAGMA journal_mode = {'WAL' if wal else 'DELETE'}",
        f"PRAGMA synchronous = {'NORMAL' if wal else 'FULL'}",
        "PRAGMA foreign_keys = ON",
        "PRAGMA journal_size_limit = 67108864",
        "PRAGMA mmap_size = 0",
        *(["PRAGMA query_only = ON"] if query_only else []),
    ]


def integrity(database: Database) -> str:
    """`ok`, or what SQLite's own integrity check found; on PostgreSQL a plain query stands in for it."""
    with database.read() as session:
        if not database.is_sqlite:
            session.execute(text("SELECT 1"))
            return "ok"
        return "; ".join(str(row[0]) for row in session.execute(text("PRAGMA integrity_check")))


def prepare_runtime_folder(path: Path) -> None:
    """Make the folder of database, keys and sockets, readable by its owner alone."""
    path.mkdir(parents=True, exist_ok=True)
    os.chmod(path, 0o700)
