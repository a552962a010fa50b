"""What the house does differently on SQLite: its driver, its settings, its errors, how commits of others are noticed.

SQLite 3.7.0 to 3.51.2 can corrupt a WAL file that several processes share (sqlite.org/wal.html, the WAL-reset
bug), so the house brings its own (`pysqlite3`), and falls back to a rollback journal where only an older one is there.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from config.errors import DiskFull, Unavailable, VX11Error

_READERS = 4
_INCREMENTAL = 2
_LOOK_EVERY_SEC = 0.02
_WAL_SAFE_FROM = (3, 51, 3)
_WAL_SAFE_BACKPORTS = ((3, 50, 7), (3, 44, 6))
_log = logging.getLogger(__name__)


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


class Sqlite:
    """One SQLite file. `driver` is the module to use, the house's own unless a test gives one."""

    def __init__(self, url: str, driver: ModuleType | None, busy_timeout_ms: int) -> None:
        self._url = url
        self._path = make_url(url).database
        self._driver = driver or sqlite_module()
        self._busy_timeout_ms = busy_timeout_ms

    def engine(self, *, writes: bool) -> Engine:
        """The engine of writers: one connection, `BEGIN IMMEDIATE`; or that of readers, which cannot write."""
        if self._path and self._path != ":memory:":
            Path(self._path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        engine = create_engine(
            self._url,
            module=self._driver,
            connect_args={"check_same_thread": False},
            pool_size=1 if writes else _READERS,
            max_overflow=0,
            pool_timeout=self._busy_timeout_ms / 1000,
        )
        safe = wal_is_safe(self._driver.sqlite_version_info)
        if not safe:
            version = self._driver.sqlite_version
            _log.error("SQLite %s can corrupt a shared WAL file; using a rollback journal", version)

        @event.listens_for(engine, "connect")
        def _configure(connection: Any, _record: object) -> None:
            self._configure(connection, wal=safe, query_only=not writes)

        @event.listens_for(engine, "begin")
        def _begin(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

        return engine

    def _configure(self, connection: Any, *, wal: bool, query_only: bool) -> None:
        connection.isolation_level = None  # the driver must not open transactions of its own
        connection.execute(f"PRAGMA busy_timeout = {self._busy_timeout_ms}")
        # Counts only before the first page is written, and would write on each connect: a full disk could not be read.
        if connection.execute("PRAGMA auto_vacuum").fetchone() != (_INCREMENTAL,):
            connection.execute(f"PRAGMA auto_vacuum = {_INCREMENTAL}")
        for pragma in _pragmas(wal=wal, query_only=query_only):
            connection.execute(pragma)

    def meaning(self, error: DBAPIError) -> VX11Error | None:
        """What a failure says in the words of the error tree; None for one that is a bug of ours."""
        reason = str(error.orig)
        if not isinstance(error, OperationalError):
            return None
        if "disk is full" in reason:
            return DiskFull("The disk that holds the database is full; nothing of this request was kept.")
        if "disk I/O error" in reason:
            return Unavailable("The disk that holds the database reports an error; it may be full or failing.")
        if "locked" in reason or "busy" in reason:
            return Unavailable("The database is busy.", retry_after_sec=1)
        return None

    def watcher(self) -> SqliteWatcher:
        """Something that notices when another connection commits."""
        return SqliteWatcher(self._driver.connect(self._path, check_same_thread=False))

    def verdict(self, session: Session) -> str:
        """`ok`, or what SQLite's own integrity check found."""
        return "; ".join(str(row[0]) for row in session.execute(text("PRAGMA integrity_check")))


class SqliteWatcher:
    """Notices commits of other connections by `PRAGMA data_version`, about 3 µs a look.

    It has a plain connection of its own, because inside a transaction the version does not move.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._seen = self._version()

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def moved(self) -> bool:
        """Whether something was committed since the last look."""
        version = self._version()
        moved = version != self._seen
        self._seen = version
        return moved

    async def committed(self) -> None:
        """Return once another connection has committed since the last look."""
        await asyncio.sleep(_LOOK_EVERY_SEC)
        while not self.moved():
            await asyncio.sleep(_LOOK_EVERY_SEC)

    def close(self) -> None:
        """Close the watching connection."""
        self._connection.close()


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
