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
def url(cluster: Cluster, tmp_path: Path) -> Iterator[str]:
    """A new database with all tables."""
    server = Server(cluster.url)
    yield server.url_in(tmp_path, empty=False)
    server.close()


@pytest.fixture
def empty(cluster: Cluster, tmp_path: Path) -> Iterator[Database]:
    """A new database without tables."""
    server = Server(cluster.url)
    database = Database(server.url_in(tmp_path / "empty", empty=True))
    yield database
    database.close()
    server.close()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    database = Database(url)
    yield database
    database.close()
