"""Conversations in the database: kept whole, each user's own, gone when their time is over."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from config import context7
from config.context7 import Bounds, Conversation, Topic, Turn
from config.db import Database
from tests.support.house import house_in

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
BOUNDS = Bounds(ttl_sec=3600, turns=50, conversations=3)


@pytest.fixture
def db(tmp_path: Path) -> Database:
    return house_in(tmp_path, "madre").db


def say(db: Database, user: str, session_id: str, text: str, now: datetime = NOW, *about: Topic) -> Conversation:
    with db.write() as session:
        return context7.go_on(session, user, session_id, [Turn(now, "user", text)], about, now, BOUNDS)


def found(db: Database, user: str, session_id: str, now: datetime = NOW) -> Conversation | None:
    with db.read() as session:
        return context7.find(session, user, session_id, now)


def test_what_was_said_is_read_back_as_it_was(db: Database) -> None:
    kept = say(db, "ana", "c", "ñandú 🐜", NOW, Topic("POWER", "power.open_window", {"services": ["switch"]}, NOW))
    assert found(db, "ana", "c") == kept
    more = say(db, "ana", "c", "second", NOW + timedelta(minutes=1))
    assert [turn.text for turn in more.turns] == ["ñandú 🐜", "second"]
    assert more.topics == kept.topics
    assert found(db, "ana", "c") == more


def test_a_name_belongs_to_its_user(db: Database) -> None:
    say(db, "ana", "c", "mine")
    assert found(db, "eva", "c") is None
    say(db, "eva", "c", "hers")
    mine = found(db, "ana", "c")
    assert mine is not None
    assert [turn.text for turn in mine.turns] == ["mine"]


def test_after_its_time_nothing_of_it_is_left(db: Database) -> None:
    say(db, "ana", "c", "old")
    say(db, "ana", "kept", "young", NOW + timedelta(minutes=30))
    later = NOW + timedelta(hours=1)
    assert found(db, "ana", "c", later) is None
    with db.write() as session:
        assert context7.forget_expired(session, later) == 1
        assert context7.forget_expired(session, later) == 0
    assert found(db, "ana", "kept", later) is not None


def test_gone_on_with_too_late_it_begins_anew(db: Database) -> None:
    say(db, "ana", "c", "old")
    anew = say(db, "ana", "c", "new", NOW + timedelta(hours=1))
    assert [turn.text for turn in anew.turns] == ["new"]
    assert anew.created_at == NOW + timedelta(hours=1)


def test_the_longest_unused_gives_way_and_only_the_users_own(db: Database) -> None:
    say(db, "eva", "hers", "x")
    for minute, name in enumerate(["a", "b", "c", "a", "d"]):
        say(db, "ana", name, "x", NOW + timedelta(minutes=minute))
    later = NOW + timedelta(minutes=10)
    assert [name for name in "abcd" if found(db, "ana", name, later)] == ["a", "c", "d"]
    assert found(db, "eva", "hers", later) is not None


def test_forgotten_on_request(db: Database) -> None:
    say(db, "ana", "c", "x")
    with db.write() as session:
        assert not context7.forget(session, "eva", "c")
        assert context7.forget(session, "ana", "c")
    assert found(db, "ana", "c") is None


def test_said_at_once_nothing_is_lost(db: Database) -> None:
    threads = [threading.Thread(target=say, args=(db, "ana", "c", str(number))) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = found(db, "ana", "c")
    assert kept is not None
    assert {turn.text for turn in kept.turns} == {str(number) for number in range(12)}
