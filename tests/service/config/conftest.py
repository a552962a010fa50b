"""One real SQLite database in a temporary folder for each test that asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from config.db import Database
from config.db_schema import Base


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'vx11.db'}")
    Base.metadata.create_all(database.writer)
    yield database
    database.close()
