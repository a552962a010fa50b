"""The one database: a writer and a reader engine, units of work, and the only commit.

A write waits for its turn and then has the database to itself until it commits, so what it reads stays true while it
decides; a read sees one moment and cannot write even by mistake. SQLite and PostgreSQL keep both promises, each in its
own way: `config/sqlite.py`, `config/postgres.py`. Nothing else in the house knows which one it runs on.

Synchronous SQLAlchemy in threads, because that measured 4 to 9 times faster than aiosqlite.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import Engine, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from config.errors import Unavailable, VX11Error
from config.postgres import Postgres
from config.sqlite import Sqlite

P = ParamSpec("P")
T = TypeVar("T")

_BUSY_TIMEOUT_MS = 10_000


class CommitWatcher(Protocol):
    """Notices that other connections commit, in this process or another; its owner closes it."""

    async def committed(self) -> None:
        """Return soon after a commit that came after the last look; it may also return without one."""

    def close(self) -> None:
        """Stop watching."""


class Backend(Protocol):
    """What differs between the kinds of database the house runs on."""

    def engine(self, *, writes: bool) -> Engine:
        """A new engine, of writers or of readers."""

    def meaning(self, error: DBAPIError) -> VX11Error | None:
        """What a failure says in the words of the error tree; None for one that is a bug of ours."""

    def watcher(self) -> CommitWatcher:
        """Something that notices when another connection commits."""

    def verdict(self, session: Session) -> str:
        """`ok`, or what is wrong with the stored data."""


class Database:
    """Both engines of one process on one database URL.

    `write()` and `read()` are units of work for code that already runs in a thread; coroutines use
    `writing` and `reading`, which run a function in a thread inside one unit of work, so no await can
    stand inside a transaction. `driver` is the SQLite module to use, the house's own unless a test gives one;
    `busy_timeout_ms` is how long a unit of work waits for its turn.
    """

    def __init__(self, url: str, *, driver: ModuleType | None = None, busy_timeout_ms: int = _BUSY_TIMEOUT_MS) -> None:
        self.url = url
        self.is_sqlite = _kind(url) == "sqlite"
        self._backend: Backend = (
            Sqlite(url, driver, busy_timeout_ms) if self.is_sqlite else Postgres(url, busy_timeout_ms)
        )
        self._writer = self._backend.engine(writes=True)
        self._reader = self._backend.engine(writes=False)
        self._write_sessions = sessionmaker(self._writer, expire_on_commit=False)
        self._read_sessions = sessionmaker(self._reader, expire_on_commit=False)

    @property
    def writer(self) -> Engine:
        """The engine that may write; for migrations and maintenance only."""
        return self._writer

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One unit of work: commits when the block ends, rolls back when it raises."""
        with self._unit(self._writer), self._write_sessions.begin() as session:
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent view; the database refuses any write made through it."""
        with self._unit(self._reader), self._read_sessions() as session:
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
        """Something to wait with until another connection has committed; its owner closes it."""
        return self._backend.watcher()

    def integrity(self) -> str:
        """`ok`, or what the database's own check of itself found."""
        with self.read() as session:
            return self._backend.verdict(session)

    def close(self) -> None:
        """Close every connection of this process; one that is in use, once its unit of work ends."""
        self._writer.dispose()
        self._reader.dispose()

    @contextmanager
    def _unit(self, engine: Engine) -> Iterator[None]:
        """Around a unit of work: says bad weather in the words of the error tree, and lets go of what was closed."""
        pool = engine.pool
        try:
            yield
        except DBAPIError as error:
            meaning = self._backend.meaning(error)
            if meaning is None:
                raise
            raise meaning from error
        except PoolTimeout as error:
            raise Unavailable("The database is busy.", retry_after_sec=1) from error
        finally:
            if engine.pool is not pool:  # a thread outlived the `close` that its service ended with
                pool.dispose()


def _kind(url: str) -> str:
    """`sqlite` or `postgresql`; SystemExit for any other, because nothing was ever tried on it."""
    kind = make_url(url).get_backend_name()
    if kind not in ("sqlite", "postgresql"):
        raise SystemExit(f"VX11_DATABASE_URL names {kind!r}; VX11 runs on sqlite: and postgresql: alone")
    return kind


def prepare_runtime_folder(path: Path) -> None:
    """Make the folder of database, keys and sockets, readable by its owner alone."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.chmod(path, 0o700)
