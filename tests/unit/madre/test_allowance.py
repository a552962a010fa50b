"""One user's share of madre."""

from __future__ import annotations

from madre.allowance import Allowance


def test_so_many_at_once_and_each_user_for_themselves() -> None:
    allowance = Allowance(parallel=2, per_min=100)
    assert [allowance.enter("ana", 0) for _ in range(3)] == [0, 0, 1]
    assert allowance.enter("eva", 0) == 0
    allowance.leave("ana")
    assert allowance.enter("ana", 0) == 0


def test_so_many_a_minute_and_the_wait_is_told() -> None:
    allowance = Allowance(parallel=1, per_min=2)
    for now in (0.0, 10.0):
        assert allowance.enter("ana", now) == 0
        allowance.leave("ana")
    assert allowance.enter("ana", 30) == 30
    assert allowance.enter("ana", 60) == 0


def test_what_was_refused_costs_nothing() -> None:
    allowance = Allowance(parallel=1, per_min=2)
    allowance.enter("ana", 0)
    for _ in range(50):
        assert allowance.enter("ana", 1) == 1
    allowance.leave("ana")
    assert allowance.enter("ana", 2) == 0


def test_users_who_went_away_are_forgotten_and_those_at_work_are_not() -> None:
    allowance = Allowance(parallel=1, per_min=1)
    assert allowance.enter("ana", 0) == 0
    for number in range(2000):
        assert allowance.enter(f"user{number}", 100 + number) == 0
        allowance.leave(f"user{number}")
    assert len(allowance._begun) < 2000
    assert allowance.enter("ana", 3000) == 1
