"""A PostgreSQL server of these tests' own, because they stop it, kill it and fill its disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from config.db import Database
from tests.support import postgres
from tests.support.databases import Server
from tests.support.postgres import Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The server; whoever stops it starts it again."""
    if postgres.programs() is None:
        pytest.skip("PostgreSQL is not installed")
    with postgres.cluster() as made:
        yield made


@pytest.fixture
def server(cluster: Cluster) -> Iterator[Server]:
    """Databases on the server; it runs again afterwards, however a test leaves it."""
    server = Server(cluster.url)
    yield server
    if not cluster.is_running:
        cluster.start()
    server.close()


@pytest.fixture
def database(server: Server, tmp_path: Path) -> Iterator[Database]:
    """A new database with all tables."""
    database = Database(server.url_in(tmp_path, empty=False))
    yield database
    database.close()


@pytest.fixture
def empty(server: Server, tmp_path: Path) -> Iterator[Database]:
    """A new database without tables."""
    database = Database(server.url_in(tmp_path / "empty", empty=True))
    yield database
    database.close()
