"""Rows written behind: all of them come, money at once, a busy database only later."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.app import House
from config.db import Database
from config.db_schema import FluzoSignal, ProviderStat
from switch.flows.ledger import Ledger
from switch.rows import Bill
from tests.support.eventually import eventually
from tests.support.house import house_in


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = house_in(tmp_path, "switch")
    house.db.close()
    house.db = Database(house.settings.resolved_database_url, busy_timeout_ms=20)
    yield house
    house.db.close()


def row(house: House) -> FluzoSignal:
    return FluzoSignal(at=house.clock.now(), cpu=0.1, memory=0.1, load=0.1, mode="ECO", profile="balanced")


def bill(house: House, cost: float | None, *, tokens: int | None = 5, failed: bool = False) -> Bill:
    return Bill("p", "2026-11-21", failed, tokens, tokens, cost, 2.0, house.clock.now())


def count(house: House) -> int:
    with house.db.read() as session:
        return session.query(FluzoSignal).count()


async def test_rows_come_soon(house: House) -> None:
    ledger = Ledger(house)
    for _ in range(50):
        ledger.keep([row(house)])
    assert count(house) == 0

    async def look() -> int:
        return count(house)

    assert await eventually(look, lambda rows: rows > 0) == 50
    ledger.keep([row(house)])
    assert await eventually(look, lambda rows: rows > 50) == 51


async def test_what_must_be_there_is_there_with_all_that_waited(house: House) -> None:
    ledger = Ledger(house)
    ledger.keep([row(house)])
    await asyncio.gather(*(ledger.keep_now([row(house)], [bill(house, 0.5)]) for _ in range(8)))
    assert count(house) == 9
    await ledger.flush()
    assert count(house) == 9


async def test_bills_of_a_day_add_up(house: House) -> None:
    ledger = Ledger(house)
    await ledger.keep_now([], [bill(house, 0.5), bill(house, None, tokens=None, failed=True)])
    await ledger.keep_now([], [bill(house, 0.25)])
    with house.db.read() as session:
        [day] = session.query(ProviderStat).all()
    assert (day.requests, day.failures, day.prompt_tokens, day.unknown_usage) == (3, 1, 10, 1)
    assert (day.cost, day.latency_ms) == (0.75, 6.0)


async def test_a_stop_writes_what_waits(house: House) -> None:
    ledger = Ledger(house)
    async with ledger.running():
        ledger.keep([row(house)])
    assert count(house) == 1


async def test_a_busy_database_is_waited_for_and_nothing_is_written_twice(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(house)
    other = Database(house.settings.resolved_database_url)
    holding = other.write()
    session = holding.__enter__()
    session.add(row(house))
    session.flush()
    await ledger.keep_now([row(house)], [bill(house, 1.0)])
    holding.__exit__(None, None, None)
    assert "rows of finished requests wait" in caplog.text
    await ledger.flush()
    other.close()
    assert count(house) == 2
    with house.db.read() as session:
        assert session.query(ProviderStat).one().cost == 1.0
