"""Whole numbers between bounds, as a grammar: read back as a regular expression and compared with arithmetic."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.worker.ranges import MOST_DIGITS, rule_of

bounds = st.none() | st.integers(-2000, 2000) | st.integers(-(10**12), 10**12)


def takes(rule: str, number: int) -> bool:
    """The rule has digits, classes, groups and blanks, which a regular expression spells without blanks and quotes."""
    return re.fullmatch(rule.replace(" ", "").replace('"', ""), str(number)) is not None


@given(bounds, bounds, st.integers(-3000, 3000) | st.integers(-(10**13), 10**13))
def test_a_rule_takes_exactly_the_numbers_between(low: int | None, high: int | None, number: int) -> None:
    if low is not None and high is not None and low > high:
        low, high = high, low
    rule = rule_of(low, high)
    for near in (number, *(bound + step for bound in (low, high) if bound is not None for step in (-1, 0, 1))):
        assert takes(rule, near) == ((low is None or near >= low) and (high is None or near <= high)), (rule, near)


def test_no_number_is_written_with_a_leading_zero() -> None:
    assert re.fullmatch(rule_of(0, 150).replace(" ", "").replace('"', ""), "007") is None


@pytest.mark.parametrize(("low", "high"), [(5, 4), (0, 10**MOST_DIGITS), (-(10**MOST_DIGITS), None)])
def test_what_no_rule_can_hold_is_refused(low: int | None, high: int | None) -> None:
    with pytest.raises(ValueError, match=r"between|digits"):
        rule_of(low, high)
