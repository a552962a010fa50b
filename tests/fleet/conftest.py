"""Grounds that daughters can be let loose on."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.cages import KINDS, Grounds, Kind, alive, grounds


@pytest.fixture
def folder() -> Iterator[Path]:
    """pytest's own folders are closed to the users that daughters get."""
    with tempfile.TemporaryDirectory(prefix="vx11-daughters-", ignore_cleanup_errors=True) as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture(params=KINDS, ids=str)
async def ground(request: pytest.FixtureRequest) -> AsyncIterator[Grounds]:
    kind: Kind = request.param
    if kind.missing:
        pytest.skip(kind.missing)
    with grounds(kind) as made:
        yield made
        await made.cage.close()
        assert [pid for pid in made.pids if alive(pid)] == []
