"""The journal: stored with the change, seen by others in order, without loss."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Concatenate, ParamSpec, TypeVar

import pytest
from sqlalchemy.orm import Session

from config.clock import rfc3339
from config.contracts.events import Event
from config.db import CommitWatcher, Database
from config.events import MAX_DATA_BYTES, MAX_EVENT_BYTES, Journal
from config.logs import correlation_id
from config.tail import KEPT
from tests.support import crowd, databases
from tests.support.clock import ManualClock
from tests.support.eventually import eventually

P = ParamSpec("P")
T = TypeVar("T")


@pytest.fixture
def journal(database: Database) -> Journal:
    return Journal(database, "madre", ManualClock())


def tell(database: Database, journal: Journal, *types: str) -> None:
    for type_ in types:
        with database.write() as session:
            journal.append(session, type_, {"said": type_})


async def first(count: int, subscription: AsyncIterator[Event]) -> list[Event]:
    async with asyncio.timeout(20):
        return [await anext(subscription) for _ in range(count)]


@asynccontextmanager
async def subscribed(
    database: Database, after: int | None = 0, prefixes: tuple[str, ...] = ()
) -> AsyncIterator[AsyncIterator[Event]]:
    """A subscriber with a Database of its own, as another process has it."""
    own = Database(database.url)
    async with aclosing(Journal(own, "tentaculo_link", ManualClock()).subscribe(after, prefixes)) as events:
        yield events
    own.close()


async def test_an_event_arrives_as_it_was_told(database: Database, journal: Journal) -> None:
    before = correlation_id.set("c-1")
    with database.write() as session:
        journal.append(session, "power.window.opened", {"services": ["switch"], "ñ": None}, severity="warning")
        journal.append(session, "model.loaded", {}, correlation_id="c-2")
    correlation_id.reset(before)
    async with subscribed(database) as events:
        opened, loaded = await first(2, events)
    assert opened == Event(
        id=1,
        type="power.window.opened",
        source="madre",
        severity="warning",
        correlation_id="c-1",
        timestamp=ManualClock().now(),
        data={"services": ["switch"], "ñ": None},
    )
    assert (loaded.id, loaded.correlation_id) == (2, "c-2")
    assert opened.model_dump(mode="json")["timestamp"] == rfc3339(ManualClock().now())


async def test_a_subscriber_waits_for_what_comes(database: Database, journal: Journal) -> None:
    tell(database, journal, "old")
    async with subscribed(database, after=None) as events:
        next_one = asyncio.ensure_future(first(1, events))
        await asyncio.sleep(0)
        while not next_one.done():
            await asyncio.to_thread(tell, database, journal, "new")
            await asyncio.sleep(0.01)
        assert [event.type for event in await next_one] == ["new"]


async def test_a_subscriber_resumes_after_an_id(database: Database, journal: Journal) -> None:
    tell(database, journal, "a", "b", "c", "d")
    async with subscribed(database, after=2) as events:
        assert [event.type for event in await first(2, events)] == ["c", "d"]


async def test_prefixes_choose_but_do_not_hold_up(database: Database, journal: Journal) -> None:
    tell(database, journal, *["noise"] * 450, "power.window.opened", "powerful", "model.loaded")
    async with subscribed(database, prefixes=("power.", "model.")) as events:
        assert [event.type for event in await first(2, events)] == ["power.window.opened", "model.loaded"]


async def test_what_was_rolled_back_is_never_seen(database: Database, journal: Journal) -> None:
    def fail() -> None:
        with database.write() as session:
            journal.append(session, "lost", {})
            session.flush()
            raise LookupError

    tell(database, journal, "a")
    with pytest.raises(LookupError):
        fail()
    tell(database, journal, "b")
    async with subscribed(database) as events:
        assert [event.type for event in await first(2, events)] == ["a", "b"]


async def test_many_writers_in_other_processes_are_seen_whole_and_in_order(database: Database) -> None:
    services, times = ("madre", "switch", "hermes"), 60
    async with subscribed(database) as events:
        writing = asyncio.ensure_future(
            asyncio.to_thread(crowd.crowd, crowd.tell, *[(database.url, service, times) for service in services])
        )
        seen = await first(times * len(services), events)
        await writing
    assert [event.id for event in seen] == sorted({event.id for event in seen})
    assert {event.type for event in seen} == {"told.kept"}
    for service in services:
        assert [event.data["number"] for event in seen if event.source == service] == list(range(times))


class Counted(Database):
    """A database that counts how often it is watched and read."""

    watchers = reads = 0

    def watcher(self) -> CommitWatcher:
        self.watchers += 1
        return super().watcher()

    async def reading(self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        self.reads += 1
        return await super().reading(work, *args, **kwargs)


async def test_many_who_follow_are_one_who_looks(database: Database, journal: Journal) -> None:
    own = Counted(database.url)
    shared = Journal(databases.closed_later(own), "tentaculo_link", ManualClock())

    async def watchers() -> int:
        return own.watchers

    async def is_read_on_from_here() -> bool:
        return shared._tail is not None and shared._tail.after(1) is not None

    async with AsyncExitStack() as stack:
        all_of_them = [await stack.enter_async_context(aclosing(shared.subscribe(0))) for _ in range(20)]
        tell(database, journal, "first")
        assert [[event.type for event in await first(1, one)] for one in all_of_them] == [["first"]] * 20
        await eventually(is_read_on_from_here, bool)
        waiting = [asyncio.ensure_future(first(3, one)) for one in all_of_them]
        own.reads = 0
        await asyncio.to_thread(tell, database, journal, "a", "b", "c")
        told = [[event.type for event in await one] for one in waiting]
        assert told == [["a", "b", "c"]] * 20
        assert (own.watchers, own.reads <= 2 * 3) == (1, True), own.reads
    async with aclosing(shared.subscribe(0)) as again:
        assert (await first(1, again))[0].type == "first"
        assert await eventually(watchers, lambda count: count == 2), "nobody looked while nobody followed"


async def test_who_is_slow_misses_nothing_and_holds_nobody_up(database: Database, journal: Journal) -> None:
    own = databases.closed_later(Database(database.url))
    shared = Journal(own, "tentaculo_link", ManualClock())
    count = 3 * KEPT
    async with aclosing(shared.subscribe(0)) as slow, aclosing(shared.subscribe(0)) as quick:
        tell(database, journal, "e-0")
        assert (await first(1, slow))[0].type == "e-0"
        for number in range(1, count):
            await asyncio.to_thread(tell, database, journal, f"e-{number}")
        wanted = [f"e-{number}" for number in range(count)]
        assert [event.type for event in await first(count, quick)] == wanted
        assert [event.type for event in await first(count - 1, slow)] == wanted[1:]


async def test_who_follows_is_told_why_nothing_comes_any_more(database: Database, journal: Journal) -> None:
    class Blind(Database):
        def watcher(self) -> CommitWatcher:
            raise LookupError("nobody can tell")

    blind = Journal(databases.closed_later(Blind(database.url)), "tentaculo_link", ManualClock())
    for _ in range(2):
        async with aclosing(blind.subscribe(0)) as events:
            with pytest.raises(LookupError, match="nobody can tell"):
                await first(1, events)


async def test_ids_are_never_used_again(database: Database, journal: Journal) -> None:
    """Or a client that resumes after retention would take new events for ones it has seen."""
    tell(database, journal, "a", "b")
    with database.write() as session:
        session.connection().exec_driver_sql("DELETE FROM events")
    tell(database, journal, "c")
    async with subscribed(database, after=2) as events:
        assert [(event.id, event.type) for event in await first(1, events)] == [(3, "c")]


def test_an_event_is_bounded(database: Database, journal: Journal) -> None:
    filling = "x" * (MAX_DATA_BYTES - len('{"text": ""}'))
    before = correlation_id.set("c" * 64)
    with database.write() as session:
        journal.append(session, "t" * 64, {"text": filling}, severity="critical")
        with pytest.raises(ValueError, match=str(MAX_DATA_BYTES)):
            journal.append(session, "t", {"text": filling + "x"})
    correlation_id.reset(before)


async def test_the_largest_event_stays_under_the_limit_of_the_contract(database: Database, journal: Journal) -> None:
    test_an_event_is_bounded(database, journal)
    async with subscribed(database) as events:
        (largest,) = await first(1, events)
    assert len(largest.model_dump_json()) < MAX_EVENT_BYTES


async def test_no_token_is_told(database: Database, journal: Journal) -> None:
    with database.write() as session:
        journal.append(session, "a", {"header": 'Bearer s3cret-value"', "token": "vx11_0123456789abcdef", "n": 1})
    async with subscribed(database) as events:
        (event,) = await first(1, events)
    assert event.data == {"header": 'Bearer [redacted]"', "token": "[redacted]", "n": 1}
