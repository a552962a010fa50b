"""The audit chain: whole, tamper-evident, kept by many writers, free of secrets."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from config import audit
from config.auth import Caller, Role
from config.db import Database
from config.db_schema import AuditLog
from tests.support import crowd

NOW = datetime(2026, 11, 21, 12, 0, 0, 123_456, tzinfo=UTC)
ANA = Caller("ana", Role.OPERATOR, "tok-1")
ROWS = 8


def leave(database: Database, count: int, **detail: Any) -> None:
    for number in range(count):
        with database.write() as session:
            now = NOW + timedelta(seconds=number)
            audit.append(session, ANA, "window.open", f"switch-{number}", detail, now=now, service="madre")


def verified(database: Database) -> audit.ChainReport:
    with database.read() as session:
        return audit.verify(session)


def ids(database: Database) -> list[int]:
    with database.read() as session:
        return list(session.scalars(select(AuditLog.id).order_by(AuditLog.id)))


def test_an_empty_and_an_honest_chain_verify(database: Database) -> None:
    assert verified(database) == audit.ChainReport(rows=0, broken_at=None)
    leave(database, ROWS, seconds=1.5, text="ñ — 漢", nested={"b": [1, None, True], "a": {}})
    assert verified(database).is_intact
    assert verified(database).rows == ROWS


def test_a_row_says_who_did_what_when(database: Database) -> None:
    leave(database, 1, ttl=600)
    with database.read() as session:
        row = session.scalars(select(AuditLog)).one()
    assert (row.user, row.role, row.service, row.action, row.target) == (
        "ana",
        "operator",
        "madre",
        "window.open",
        "switch-0",
    )
    assert (row.at, row.detail, row.previous_hash) == (NOW, {"ttl": 600}, audit.GENESIS)


CHANGES = st.one_of(
    st.tuples(st.just("at"), st.integers(1, 10**6).map(lambda us: NOW - timedelta(microseconds=us))),
    st.tuples(st.sampled_from(["user", "role", "service", "action", "target", "correlation_id"]), st.just("forged")),
    st.tuples(st.just("detail"), st.dictionaries(st.text(max_size=3), st.integers(), min_size=1, max_size=2)),
    st.tuples(st.sampled_from(["hash", "previous_hash"]), st.integers(1, 2**64).map(lambda n: f"{n:064x}")),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, ROWS - 1), change=CHANGES)
def test_any_changed_field_of_any_row_is_found(database: Database, at: int, change: tuple[str, Any]) -> None:
    if not ids(database):
        leave(database, ROWS)
    victim = ids(database)[at]
    field = getattr(AuditLog, change[0])
    with database.write() as session:
        before = session.scalar(select(field).where(AuditLog.id == victim))
        session.execute(update(AuditLog).where(AuditLog.id == victim).values({change[0]: change[1]}))
    assert verified(database).broken_at == victim
    with database.write() as session:
        session.execute(update(AuditLog).where(AuditLog.id == victim).values({change[0]: before}))
    assert verified(database).is_intact


@pytest.mark.parametrize("at", range(1, ROWS - 1))
def test_a_row_taken_out_of_the_middle_is_found(database: Database, at: int) -> None:
    leave(database, ROWS)
    victim = ids(database)[at]
    with database.write() as session:
        session.execute(delete(AuditLog).where(AuditLog.id == victim))
    assert verified(database).broken_at == victim + 1


@pytest.mark.parametrize("pair", [(0, 1), (2, 3), (1, 6), (6, 7)])
def test_two_rows_that_change_places_are_found(database: Database, pair: tuple[int, int]) -> None:
    leave(database, ROWS)
    first, second = (ids(database)[at] for at in pair)
    with database.write() as session:
        for source, target in ((first, -1), (second, first), (-1, second)):
            session.execute(update(AuditLog).where(AuditLog.id == source).values(id=target))
    assert not verified(database).is_intact


def cut(database: Database, before: datetime, at_most: int = 100) -> int:
    with database.write() as session:
        return audit.cut_head(session, ANA, before, at_most, now=NOW + timedelta(days=91), service="madre")


def test_a_chain_whose_head_retention_cut_off_still_verifies_and_says_so(database: Database) -> None:
    leave(database, ROWS)
    assert cut(database, NOW) == 0
    assert cut(database, NOW + timedelta(seconds=3)) == 3
    assert verified(database) == audit.ChainReport(rows=ROWS - 3 + 1, broken_at=None)
    leave(database, 1)
    assert verified(database).is_intact
    with database.read() as session:
        (mark,) = session.scalars(select(AuditLog).where(AuditLog.action == audit.CUT))
        first = session.scalars(select(AuditLog).order_by(AuditLog.id).limit(1)).one()
    assert mark.detail == {"head": first.previous_hash, "rows": 3}


def test_a_head_that_is_cut_bit_by_bit_and_again_later_and_whole_still_verifies(database: Database) -> None:
    leave(database, ROWS)
    while cut(database, NOW + timedelta(seconds=5), at_most=2):
        assert verified(database).is_intact
    leave(database, 2)
    left = len(ids(database))
    assert cut(database, NOW + timedelta(days=365)) == left
    assert verified(database) == audit.ChainReport(rows=1, broken_at=None)


@pytest.mark.parametrize("gone", [1, 3, ROWS - 1])
def test_a_head_that_somebody_else_cut_off_is_found(database: Database, gone: int) -> None:
    leave(database, ROWS)
    left = ids(database)[gone:]
    with database.write() as session:
        session.execute(delete(AuditLog).where(AuditLog.id < left[0]))
    assert verified(database) == audit.ChainReport(rows=ROWS - gone, broken_at=left[0])


def test_a_head_cut_off_further_than_retention_did_is_found(database: Database) -> None:
    leave(database, ROWS)
    cut(database, NOW + timedelta(seconds=3))
    with database.write() as session:
        session.execute(delete(AuditLog).where(AuditLog.id == ids(database)[0]))
    assert verified(database).broken_at == ids(database)[0]


def test_where_the_clock_was_set_back_retention_makes_no_hole(database: Database) -> None:
    leave(database, 2)
    with database.write() as session:
        audit.append(session, ANA, "window.open", "x", now=NOW - timedelta(days=1), service="madre")
    assert cut(database, NOW) == 0
    assert verified(database).is_intact


def test_an_act_that_is_rolled_back_leaves_no_link(database: Database) -> None:
    def fail() -> None:
        with database.write() as session:
            audit.append(session, ANA, "window.open", "switch", now=NOW, service="madre")
            raise LookupError

    leave(database, 1)
    with pytest.raises(LookupError):
        fail()
    leave(database, 1)
    assert verified(database) == audit.ChainReport(rows=2, broken_at=None)


def test_several_acts_in_one_unit_of_work_are_one_chain(database: Database) -> None:
    with database.write() as session:
        for _ in range(3):
            audit.append(session, ANA, "window.open", "switch", now=NOW, service="madre")
    assert verified(database) == audit.ChainReport(rows=3, broken_at=None)


def test_several_processes_append_to_one_chain(database: Database) -> None:
    crowd.crowd(crowd.act, *[(database.url, service, 40) for service in ("madre", "switch", "hermes")])
    assert verified(database) == audit.ChainReport(rows=120, broken_at=None)
    with database.read() as session:
        counts = Counter(session.scalars(select(AuditLog.service)))
    assert counts == {"madre": 40, "switch": 40, "hermes": 40}


@pytest.mark.parametrize(
    "secret",
    ["vx11_0123456789abcdef", "Bearer s3cret-value", "x-vx11-token: s3cret-value", 'Bearer s3cret-value", "a": "b'],
)
def test_no_token_is_kept_and_the_row_stays_readable(database: Database, secret: str) -> None:
    leave(database, 1, said=secret, after="still here")
    with database.read() as session:
        detail = session.scalars(select(AuditLog.detail)).one()
    assert "s3cret-value" not in str(detail)
    assert "0123456789abcdef" not in str(detail)
    assert detail["after"] == "still here"
    assert verified(database).is_intact
