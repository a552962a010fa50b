"""Where a test's database is: a SQLite file in the test's folder, or a database of a PostgreSQL server for that folder.

`VX11_DATABASE_URL=postgresql://… pytest` runs the tests on that server, whose user must be allowed to create databases;
`pytest --postgres` on a server made for the run. Two things in one folder share one database either way.
"""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

from sqlalchemy import create_engine, make_url

from config.db import Database
from config.db_schema import Base


class Server:
    """A PostgreSQL server on which each folder gets a database of its own, copied from one that holds all tables."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url).set(drivername="postgresql")
        self._template = f"vx11_tables_{uuid.uuid4().hex[:8]}"
        self._made: set[str] = set()

    def url_in(self, folder: Path, *, empty: bool) -> str:
        """The URL of the folder's database, made now if it is not there: with all tables, or `empty`."""
        name = f"vx11_{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:20]}"
        if name not in self._made:
            self._create(name, None if empty else self._with_tables())
        return self._named(name)

    def drop(self) -> None:
        """Drop what was made for folders so far, whoever still uses it."""
        for name in [name for name in self._made if name != self._template]:
            self._drop(name)

    def close(self) -> None:
        """Leave the server as it was."""
        for name in list(self._made):
            self._drop(name)

    def _with_tables(self) -> str:
        if self._template not in self._made:
            self._create(self._template, None)
            engine = create_engine(make_url(self._named(self._template)).set(drivername="postgresql+psycopg"))
            Base.metadata.create_all(engine)
            engine.dispose()
        return self._template

    def _named(self, name: str) -> str:
        return self._url.set(database=name).render_as_string(hide_password=False)

    def _create(self, name: str, template: str | None) -> None:
        self._do(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
        self._made.add(name)

    def _drop(self, name: str) -> None:
        self._do(f"DROP DATABASE {name} WITH (FORCE)")
        self._made.remove(name)

    def _do(self, statement: str) -> None:
        import psycopg  # only where it is needed

        with psycopg.connect(self._url.render_as_string(hide_password=False), autocommit=True) as connection:
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


def drop() -> None:
    """Drop the databases made so far."""
    if _Run.server is not None:
        _Run.server.drop()


def leave() -> None:
    """Leave the server as it was found."""
    if _Run.server is not None:
        _Run.server.close()
