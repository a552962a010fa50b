"""Money: what is spent, what is left, when a budget begins anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.budgets import Budget, Prices, Spending, day_of

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
money = st.floats(0, 100)


def test_costs_are_per_million_tokens() -> None:
    prices = Prices(0.5, 2.0)
    assert prices.cost(1_000_000, 500_000) == 1.5
    assert prices.guess(1_000_000, 250_000, n=2) == prices.guess(1_000_000, 500_000) == 1.5
    assert prices.guess(0, None) == pytest.approx(0.001)


def test_a_spent_budget_says_when_it_begins_anew() -> None:
    spending = Spending()
    spending.spent(NOON, 2.0)
    found = spending.exhausted(Budget(day=2.0), NOON)
    assert found is not None
    assert found.resets_at == datetime(2026, 11, 22, tzinfo=UTC)
    assert spending.exhausted(Budget(day=2.0), NOON + timedelta(hours=12)) is None
    both = spending.exhausted(Budget(day=1.0, month=2.0), NOON)
    assert both is not None
    assert both.reason == "its budget of 2 a month is spent"
    assert both.resets_at == datetime(2026, 12, 1, tzinfo=UTC)


def test_the_year_turns() -> None:
    spending, eve = Spending(), datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
    spending.spent(eve, 1.0)
    found = spending.exhausted(Budget(month=1.0), eve)
    assert found is not None
    assert found.resets_at == datetime(2027, 1, 1, tzinfo=UTC)
    assert spending.of_month(eve + timedelta(minutes=2)) == 0


def test_days_are_counted_in_utc() -> None:
    assert day_of(datetime(2026, 11, 22, 0, 30, tzinfo=timezone(timedelta(hours=2)))) == "2026-11-21"


def test_what_is_held_counts_as_spent() -> None:
    spending = Spending()
    spending.held = 3.0
    assert spending.exhausted(Budget(day=3.0), NOON) is not None
    spending.held = 0.0
    assert spending.exhausted(Budget(day=3.0), NOON) is None


@given(st.lists(st.tuples(st.integers(0, 27), money), max_size=20), money, money)
def test_days_add_up_to_the_month_and_what_is_left_shrinks(
    costs: list[tuple[int, float]], day: float, month: float
) -> None:
    spending, budget, now, left = Spending(), Budget(day, month), NOON.replace(day=1), 1.0
    for later, cost in sorted(costs):
        before = spending.left(Budget(month=month), now)
        now = NOON.replace(day=1 + later)
        spending.spent(now, cost)
        left = spending.left(Budget(month=month), now)
        assert 0 <= left <= before
    assert spending.of_month(now) == pytest.approx(sum(cost for _, cost in costs))
    assert spending.of_day(now) <= spending.of_month(now) + 1e-9
    assert (spending.exhausted(budget, now) is not None) == (
        spending.of_day(now) >= day or spending.of_month(now) >= month
    )


def test_no_budget_is_no_limit() -> None:
    spending = Spending()
    spending.spent(NOON, 1e9)
    assert spending.exhausted(Budget(), NOON) is None
    assert spending.left(Budget(), NOON) == 1.0
    assert spending.left(Budget(day=0.0), NOON) == 0.0
