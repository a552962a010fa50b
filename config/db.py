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
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from config.errors import DiskFull, Unavailable

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)
_BUSY_TIMEOUT_MS = 10_000
_READERS = 4
_WAL_SAFE_FROM = (3, 51, 3)
_WAL_SAFE_BACKPORTS = {(3, 50): 7, (3, 44): 6}


def sqlite_module() -> ModuleType:
    """The SQLite driver of the house: `pysqlite3` where installed, else the standard library's."""
    try:
        import pysqlite3.dbapi2 as module  # type: ignore[import-untyped]  # noqa: PLC0415  # optional wheel
    except ImportError:
        import sqlite3.dbapi2 as module  # noqa: PLC0415
    return module  # type: ignore[no-any-return]


def wal_is_safe(version: tuple[int, ...]) -> bool:
    """Whether this SQLite is free of the WAL-reset bug (fixed in 3.51.3, 3.50.7 and 3.44.6)."""
    if version >= _WAL_SAFE_FROM:
        return True
    backport = _WAL_SAFE_BACKPORTS.get(version[:2])  # type: ignore[call-overload]
    return backport is not None and version[2] >= backport


class Database:
    """Both engines of one process on one database URL.

    `write()` and `read()` are units of work for code that already runs in a thread; coroutines use
    `writing` and `reading`, which run a function in a thread inside one unit of work, so no await can
    stand inside a transaction.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
        self._writer = _writer_engine(url) if self.is_sqlite else create_engine(url, pool_size=4)
        self._reader = _reader_engine(url) if self.is_sqlite else _postgres_reader(url)
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
        return await asyncio.to_thread(self._within, self.write, work, *args, **kwargs)

    async def reading(self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work(session, …)` in a thread on a read-only session."""
        return await asyncio.to_thread(self._within, self.read, work, *args, **kwargs)

    @staticmethod
    def _within(unit: Callable[[], Any], work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        with unit() as session:
            return work(session, *args, **kwargs)

    def watcher(self) -> CommitWatcher:
        """Something to ask whether another connection has committed; its owner closes it."""
        path = make_url(self.url).database if self.is_sqlite else None
        return CommitWatcher(path)

    def close(self) -> None:
        """Close every connection of this process."""
        self._writer.dispose()
        self._reader.dispose()


class CommitWatcher:
    """Notices commits of other connections by `PRAGMA data_version`, about 3 µs a look.

    It has a plain connection of its own, because inside a transaction the version does not move. Where
    there is no SQLite file to watch, every look says "maybe", and the subscriber reads.
    """

    def __init__(self, path: str | None) -> None:
        self._connection = sqlite_module().connect(path, check_same_thread=False) if path else None
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
        if "disk is full" in reason or "disk I/O error" in reason:
            raise DiskFull("The disk that holds the database is full; nothing of this request was kept.") from error
        if "locked" in reason or "busy" in reason:
            raise Unavailable("The database is busy.", retry_after_sec=1) from error
        raise


def _sqlite_engine(url: str, *, begin: str, query_only: bool, **pool: Any) -> Engine:
    path = make_url(url).database
    if path and path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    module = sqlite_module()
    engine = create_engine(url, module=module, connect_args={"check_same_thread": False}, **pool)
    safe = wal_is_safe(module.sqlite_version_info)
    if not safe:
        _log.error("SQLite %s can corrupt a shared WAL file; using a rollback journal", module.sqlite_version)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver must not open transactions of its own
        for pragma in _pragmas(wal=safe, query_only=query_only):
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _pragmas(*, wal: bool, query_only: bool) -> list[str]:
    """The settings of a connection; auto_vacuum counts only before WAL writes the first page of a new file."""
    return [
        f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}",
        "PRAGMA auto_vacuum = INCREMENTAL",
        f"PRAGMA journal_mode = {'WAL' if wal else 'DELETE'}",
        f"PRAGMA synchronous = {'NORMAL' if wal else 'FULL'}",
        "PRAGMA foreign_keys = ON",
        "PRAGMA journal_size_limit = 67108864",
        "PRAGMA mmap_size = 0",
        *(["PRAGMA query_only = ON"] if query_only else []),
    ]


def _writer_engine(url: str) -> Engine:
    return _sqlite_engine(url, begin="BEGIN IMMEDIATE", query_only=False, pool_size=1, max_overflow=0)


def _reader_engine(url: str) -> Engine:
    return _sqlite_engine(url, begin="BEGIN", query_only=True, pool_size=_READERS, max_overflow=0)


def _postgres_reader(url: str) -> Engine:
    return create_engine(url, pool_size=_READERS, execution_options={"postgresql_readonly": True})


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
