"""Where a test's database is: a SQLite file in the test's folder, or a database of a PostgreSQL server for that folder.

`VX11_DATABASE_URL=postgresql://… pytest` runs the tests on that server, whose user must be allowed to create databases;
`pytest --postgres` on a server made for the run. Two things in one folder share one database either way.
"""

from __future__ import annotations

import itertools
import uuid
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import create_engine, make_url

from config.db import Database
from config.db_schema import Base

_END_OTHERS: Final = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
_EMPTY: Final = f"TRUNCATE {', '.join(Base.metadata.tables)} RESTART IDENTITY"


class Server:
    """A PostgreSQL server on which each folder gets a database of its own.

    One that was used is emptied and given to the next folder, because making and dropping takes ten times as long.
    """

    def __init__(self, url: str) -> None:
        self._url = make_url(url).set(drivername="postgresql")
        self._run = uuid.uuid4().hex[:8]
        self._names = itertools.count(1)
        self._of: dict[str, str] = {}  # by folder
        self._without_tables: set[str] = set()
        self._free: list[str] = []

    def url_in(self, folder: Path, *, empty: bool) -> str:
        """The URL of the folder's database, made now if it has none: with all tables, or `empty`."""
        key = str(folder.resolve())
        if key not in self._of:
            self._of[key] = self._fresh(empty=empty)
        return self._named(self._of[key])

    def recycle(self) -> None:
        """Take back the databases of all folders so far, whoever still uses them."""
        for name in self._of.values():
            if name in self._without_tables:
                self._do("postgres", f"DROP DATABASE {name} WITH (FORCE)")
            else:
                self._do(name, _END_OTHERS, _EMPTY)
                self._free.append(name)
        self._of.clear()
        self._without_tables.clear()

    def close(self) -> None:
        """Leave the server as it was."""
        for name in (*self._of.values(), *self._free):
            self._do("postgres", f"DROP DATABASE {name} WITH (FORCE)")
        self._of.clear()
        self._free.clear()

    def _fresh(self, *, empty: bool) -> str:
        if self._free and not empty:
            return self._free.pop()
        name = f"vx11_test_{self._run}_{next(self._names)}"
        self._do("postgres", f"CREATE DATABASE {name}")
        if empty:
            self._without_tables.add(name)
            return name
        engine = create_engine(make_url(self._named(name)).set(drivername="postgresql+psycopg"))
        Base.metadata.create_all(engine)
        engine.dispose()
        return name

    def _named(self, name: str) -> str:
        return self._url.set(database=name).render_as_string(hide_password=False)

    def _do(self, database: str, *statements: str) -> None:
        import psycopg  # only where it is needed

        url = self._named(database) if database != "postgres" else self._url.render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)


class _Run:
    """What this run of the tests uses."""

    server: Server | None = None
    opened: list[Database] = []


def use(url: str) -> None:
    """Have every test from now on use the PostgreSQL server at `url`."""
    _Run.server = Server(url)


def on_postgres() -> bool:
    """Whether the tests run on PostgreSQL."""
    return _Run.server is not None


def only_on_a_file(reason: str) -> pytest.MarkDecorator:
    """Skips on PostgreSQL what is about SQLite's file; for test modules, which are read once the server is known."""
    return pytest.mark.skipif(on_postgres(), reason=reason)


def url_in(folder: Path, *, empty: bool = False) -> str:
    """The URL of the database that belongs to `folder`; on PostgreSQL with all tables, unless it is to be `empty`."""
    if _Run.server is not None:
        return _Run.server.url_in(folder, empty=empty)
    return f"sqlite:///{folder.absolute() / 'data/runtime/vx11.db'}"


def environment(folder: Path) -> dict[str, str]:
    """What a process needs to know of the database of `folder` to make the tables itself; nothing for a file."""
    return {"VX11_DATABASE_URL": url_in(folder, empty=True)} if on_postgres() else {}


def database_in(folder: Path) -> Database:
    """The database of `folder`, closed at the end of the test if nobody does it before."""
    return closed_later(Database(url_in(folder)))


def closed_later(database: Database) -> Database:
    """The same; its connections are closed at the end of the test."""
    _Run.opened.append(database)
    return database


def close_opened() -> None:
    """Close the connections of what was opened here; what is used again connects again."""
    while _Run.opened:
        _Run.opened.pop().close()


def recycle() -> None:
    """Let nobody use the databases of the folders so far any longer."""
    if _Run.server is not None:
        _Run.server.recycle()


def leave() -> None:
    """Leave the server as it was found."""
    if _Run.server is not None:
        _Run.server.close()
