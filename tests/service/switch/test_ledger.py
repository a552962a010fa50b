"""Rows of finished requests: all of them come, at once where that was promised, from a busy database later."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.app import House
from config.db import Database
from config.db_schema import FluzoSignal, ProviderStat, SwitchQueueV2
from switch.flows.ledger import Ledger
from switch.rows import Bill
from switch.spooled import line_of
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

    async def look() -> int:
        return count(house)

    assert await eventually(look, lambda rows: rows == 2) == 2
    other.close()
    with house.db.read() as session:
        assert session.query(ProviderStat).one().cost == 1.0


def life(house: House, name: str) -> SwitchQueueV2:
    now = house.clock.now()
    return SwitchQueueV2(
        id=name, kind="chat", state="DONE", priority=1, user="ann", source=None, task_type="chat", correlation_id="c",
        provider="local", model="a", prompt_tokens_guess=1, attempts=1, enqueued_at=now, started_at=now,
        finished_at=now, payload=None, result=None, error={"at": "x"},
    )  # fmt: skip


def lives(house: House) -> list[str]:
    with house.db.read() as session:
        return [row.id for row in session.query(SwitchQueueV2).order_by(SwitchQueueV2.id)]


async def test_what_a_killed_life_had_not_written_the_next_one_writes_once(house: House) -> None:
    killed = Ledger(house)
    killed.keep_safely([life(house, "ask-1"), row(house)], [bill(house, None)])
    killed.keep_safely([life(house, "ask-2")], [bill(house, None)])
    assert lives(house) == []
    with house.db.write() as session:
        session.add(life(house, "ask-2"))  # it had come so far: in the database, and still in the spool
    async with Ledger(house).running():
        assert lives(house) == ["ask-1", "ask-2"]
        with house.db.read() as session:
            assert session.query(ProviderStat).one().requests == 1
            assert session.query(FluzoSignal).one().at is not None
    async with Ledger(house).running():
        assert lives(house) == ["ask-1", "ask-2"]


async def test_what_is_written_leaves_the_spool(house: House) -> None:
    folder = house.settings.runtime_path / "switch-rows"
    ledger = Ledger(house)
    async with ledger.running():
        for number in range(3):
            ledger.keep_safely([life(house, f"ask-{number}")], [])
            assert len(list(folder.iterdir())) == 1
            await ledger.flush()
            assert list(folder.iterdir()) == []
    assert len(lives(house)) == 3


async def test_a_line_that_was_not_written_to_its_end_is_left_out(house: House) -> None:
    folder = house.settings.runtime_path / "switch-rows"
    folder.mkdir()
    whole = line_of([life(house, "ask-1")], [])
    (folder / "000000000001.rows").write_bytes(whole + line_of([life(house, "ask-2")], [])[:-9])
    async with Ledger(house).running():
        assert lives(house) == ["ask-1"]


async def test_without_a_place_for_the_spool_rows_come_all_the_same(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    (house.settings.runtime_path / "switch-rows").write_text("in the way")
    ledger = Ledger(house)
    ledger.keep_safely([life(house, "ask-1")], [])
    assert "in memory alone" in caplog.text
    await ledger.flush()
    assert lives(house) == ["ask-1"]
