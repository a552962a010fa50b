"""What a URL becomes, what failures of a server mean, what never reaches a log."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError, ProgrammingError

from config.db import Database
from config.errors import DiskFull, Invalid, Unavailable
from config.logs import redacted
from config.postgres import Postgres

URL = "postgresql://vx11:a-pass-word-1@db.example/vx11"


def test_nothing_is_asked_of_a_server_before_it_is_needed() -> None:
    database = Database(URL)
    assert not database.is_sqlite
    assert database.writer.dialect.driver == "psycopg"
    database.close()


@pytest.mark.parametrize("url", ["mysql://db/vx11", "oracle://db/vx11"])
def test_other_databases_are_refused_by_name(url: str) -> None:
    with pytest.raises(SystemExit, match=url.partition(":")[0]):
        Database(url)


def test_the_password_is_kept_out_of_logs() -> None:
    Postgres(URL, 1000)
    assert redacted("cannot connect as vx11 with a-pass-word-1") == "cannot connect as vx11 with [redacted]"


@pytest.mark.parametrize(
    ("state", "meaning"),
    [
        ("53100", DiskFull),  # disk_full
        ("53300", Unavailable),  # too_many_connections
        ("55P03", Unavailable),  # lock_not_available
        ("40P01", Unavailable),  # deadlock_detected
        ("57P01", Unavailable),  # admin_shutdown
        ("57P03", Unavailable),  # cannot_connect_now
        ("08006", Unavailable),  # connection_failure
        ("54000", None),  # program_limit_exceeded: a bug of ours
    ],
)
def test_a_failure_is_said_by_its_sqlstate(state: str, meaning: type[Exception] | None) -> None:
    error = OperationalError("SELECT 1", None, psycopg.errors.lookup(state)())
    found = Postgres(URL, 1000).meaning(error)
    assert type(found) is meaning if meaning else found is None


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (OperationalError("", None, psycopg.OperationalError("connection refused")), Unavailable),
        (InterfaceError("", None, psycopg.InterfaceError("the connection is closed")), Unavailable),
        (DataError("", None, psycopg.errors.lookup("22001")()), Invalid),
    ],
)
def test_what_never_reached_the_server_has_a_meaning_too(error: DBAPIError, meaning: type[Exception]) -> None:
    assert type(Postgres(URL, 1000).meaning(error)) is meaning


def test_a_wrong_statement_is_a_bug_of_ours() -> None:
    error = ProgrammingError("", None, psycopg.errors.lookup("42P01")())
    assert Postgres(URL, 1000).meaning(error) is None


def test_what_the_url_says_comes_last() -> None:
    options = Postgres(f"{URL}?options=-c%20lock_timeout%3D5", 1000)._arguments(writes=True)["options"]
    assert options.index("lock_timeout=1000") < options.index("lock_timeout=5")
