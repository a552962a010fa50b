"""The server elsewhere: started later, started anew, cut off in the middle, its disk full."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from contextlib import aclosing
from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import select

from config import migrate
from config.db import Database
from config.db_schema import Base, SystemState
from config.errors import DiskFull, Unavailable
from config.events import Journal
from tests.support.clock import ManualClock
from tests.support.postgres import Cluster
from tests.support.small_disk import small_disk

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def keep(database: Database, key: str, **value: object) -> None:
    with database.write() as session:
        session.add(SystemState(key=key, value=value, updated_at=NOW))


def kept(database: Database) -> list[str]:
    with database.read() as session:
        return list(session.scalars(select(SystemState.key).order_by(SystemState.key)))


def fill(database: Database) -> None:
    """Write rows until the database refuses; they are random, because the server would pack others."""
    for number in range(10_000):
        keep(database, f"{number:05}", blob=os.urandom(20_000).hex())


def test_a_server_started_anew_costs_nobody_an_error(cluster: Cluster, database: Database) -> None:
    keep(database, "before")
    assert kept(database) == ["before"]
    cluster.stop()
    cluster.start()
    keep(database, "once")
    cluster.stop()
    cluster.start()
    assert kept(database) == ["before", "once"]


def test_without_a_server_it_is_said_so_and_works_again_later(cluster: Cluster, database: Database) -> None:
    keep(database, "before")
    cluster.stop()
    newcomer = Database(database.url)
    for one in (database, newcomer):
        with pytest.raises(Unavailable, match="does not answer") as caught:
            keep(one, "never")
        assert caught.value.retry_after_sec == 1
        with pytest.raises(Unavailable, match="does not answer"):
            kept(one)
    cluster.start()
    keep(newcomer, "later")
    assert kept(database) == ["before", "later"]
    newcomer.close()


def test_a_write_cut_in_the_middle_was_never_there(cluster: Cluster, database: Database) -> None:
    def cut() -> None:
        with database.write() as session:
            session.add(SystemState(key="half", value={}, updated_at=NOW))
            session.flush()
            cluster.stop(signal.SIGQUIT)

    with pytest.raises(Unavailable, match="does not answer"):
        cut()
    cluster.start()
    assert kept(database) == []
    keep(database, "whole")
    assert kept(database) == ["whole"]


async def test_a_subscriber_outlives_the_server_and_misses_nothing(cluster: Cluster, database: Database) -> None:
    journal = Journal(database, "madre", ManualClock())

    def tell(what: str) -> None:
        with database.write() as session:
            journal.append(session, what, {})

    own = Database(database.url)
    async with asyncio.timeout(60), aclosing(Journal(own, "switch", ManualClock()).subscribe(after=0)) as events:
        await asyncio.to_thread(tell, "before")
        assert (await anext(events)).type == "before"
        upcoming = asyncio.ensure_future(anext(events))
        cluster.stop(signal.SIGQUIT)
        cluster.start()
        await asyncio.to_thread(tell, "after")
        assert (await upcoming).type == "after"
        await asyncio.to_thread(tell, "and on")
        assert (await anext(events)).type == "and on"
    own.close()


async def test_a_service_waits_for_a_database_that_starts_after_it(cluster: Cluster, empty: Database) -> None:
    migrate.upgrade(empty.url)
    cluster.stop()
    starting = asyncio.ensure_future(asyncio.to_thread(migrate.wait_for_head, empty))
    cluster.start()
    async with asyncio.timeout(30):
        await starting
    assert migrate.current(empty) == migrate.head()


def test_a_service_does_not_wait_for_ever(cluster: Cluster, database: Database) -> None:
    cluster.stop()
    with pytest.raises(SystemExit, match="VX11_DATABASE_URL"):
        migrate.wait_for_head(database, within_sec=0)


def test_a_full_disk_is_said_and_what_was_kept_stays_readable(cluster: Cluster) -> None:
    with small_disk(cluster.folder / "small", 24) as folder:
        if not os.path.ismount(folder):
            pytest.skip("needs the right to mount a small disk")
        owner = cluster.folder.stat()
        os.chown(folder, owner.st_uid, owner.st_gid)
        with psycopg.connect(cluster.url, autocommit=True) as server:
            server.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
            server.execute("CREATE DATABASE full_one TABLESPACE small")
            database = Database(cluster.url.replace("/postgres?", "/full_one?"))
            Base.metadata.create_all(database.writer)
            with pytest.raises(DiskFull, match="full"):
                fill(database)
            assert len(kept(database)) > 10
            assert database.integrity() == "ok"
            database.close()
            server.execute("DROP DATABASE full_one WITH (FORCE)")
            server.execute("DROP TABLESPACE small")
    shutil.rmtree(cluster.folder / "small", ignore_errors=True)
