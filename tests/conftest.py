"""No test sees the settings of whoever runs it, and no property is judged by how long an example took.

Tests run on SQLite. With `--postgres` they run on a PostgreSQL server made for the run, with `VX11_DATABASE_URL` on the
one it names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

_GIVEN_SERVER = os.environ.get("VX11_DATABASE_URL")
for _name in [name for name in os.environ if name.startswith("VX11_")]:
    del os.environ[_name]

from tests.support import databases, postgres  # noqa: E402  # what they import must not see those settings either

settings.register_profile("house", deadline=None)
settings.load_profile("house")

_SERVER = pytest.StashKey[str | None]()
_CLUSTER = pytest.StashKey[postgres.Cluster]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--postgres", action="store_true", help="run on a PostgreSQL server made for this run")


def pytest_configure(config: pytest.Config) -> None:
    """Find or make the server, once for all processes of the run."""
    given = getattr(config, "workerinput", None)
    server = _server(config) if given is None else given["database_server"]
    config.stash[_SERVER] = server
    if server:
        databases.use(server)


def _server(config: pytest.Config) -> str | None:
    if _GIVEN_SERVER or not config.getoption("--postgres") or postgres.programs() is None:
        return _GIVEN_SERVER
    config.stash[_CLUSTER] = postgres.Cluster()
    config.stash[_CLUSTER].start()
    return config.stash[_CLUSTER].url


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a process of pytest-xdist which server the run uses."""
    node.workerinput["database_server"] = node.config.stash[_SERVER]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without PostgreSQL nothing that was asked to run on it may pass on something else."""
    if config.getoption("--postgres") and not databases.on_postgres():
        for item in items:
            item.add_marker(pytest.mark.skip(reason="PostgreSQL is not installed"))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing on a server of others, and nothing of our own."""
    databases.leave()
    if _CLUSTER in config.stash:
        config.stash[_CLUSTER].remove()


@pytest.fixture(autouse=True)
def _close_databases() -> Iterator[None]:
    """Connections end with their test."""
    yield
    databases.close_opened()


@pytest.fixture(autouse=True, scope="module")
def _recycle_databases() -> Iterator[None]:
    """Databases serve a whole module, because what is started for a module may use one."""
    yield
    databases.recycle()
