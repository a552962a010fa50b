"""One real database for each test that asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from config.db import Database
from config.db_schema import Base
from tests.support import databases


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(databases.url_in(tmp_path))
    Base.metadata.create_all(database.writer)
    yield database
    database.close()
