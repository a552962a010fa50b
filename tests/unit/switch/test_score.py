"""The score is monotone in everything it weighs, and says what it is made of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from switch.fluzo import Profile
from switch.modes import BUDGET_SEC, Mode
from switch.score import WEIGHTS, Conditions, Facts, score

shares = st.floats(0, 1)
facts = st.builds(
    Facts,
    kind=st.sampled_from(["local", "endpoint", "program"]),
    success=shares,
    latency_sec=st.none() | st.floats(0, 600),
    start_sec=st.floats(0, 60),
    cost=st.floats(0, 10),
    quota=shares,
)
conditions = st.builds(Conditions, st.sampled_from(Mode), st.sampled_from(Profile))
CALM = Conditions(Mode.BALANCED, Profile.BALANCED)


@given(facts, conditions)
def test_it_is_the_weighted_sum_of_terms_between_0_and_1(known: Facts, now: Conditions) -> None:
    found = score(known, now)
    assert set(found.terms) == set(WEIGHTS)
    assert all(0 <= term <= 1 for term in found.terms.values())
    assert abs(found.total - sum(WEIGHTS[name] * term for name, term in found.terms.items())) < 1e-5


def test_the_weights_are_shares() -> None:
    assert abs(sum(WEIGHTS.values()) - 1) < 1e-9


def _with(known: Facts, name: str, value: float) -> Facts:
    """`known` but for one figure."""
    changes: dict[str, Any] = {name: value}
    return replace(known, **changes)


@given(facts, conditions, shares, shares)
def test_more_success_and_more_quota_are_never_worse(known: Facts, now: Conditions, one: float, two: float) -> None:
    low, high = sorted((one, two))
    for name in ("success", "quota"):
        assert score(_with(known, name, low), now).total <= score(_with(known, name, high), now).total


@given(facts, conditions, st.floats(0, 600), st.floats(0, 600))
def test_slower_and_dearer_are_never_better(known: Facts, now: Conditions, one: float, two: float) -> None:
    low, high = sorted((one, two))
    for name in ("latency_sec", "start_sec", "cost"):
        assert score(_with(known, name, high), now).total <= score(_with(known, name, low), now).total


def test_a_busy_machine_would_rather_not_compute_here() -> None:
    here = Facts("local", 0.9, 3.0, 0.0, 0.0, 1.0)
    elsewhere = replace(here, kind="endpoint")
    tired, fresh = replace_profile(Profile.LOW_POWER), replace_profile(Profile.PERFORMANCE)
    assert score(here, tired).total < score(elsewhere, tired).total
    assert score(here, fresh).total > score(elsewhere, fresh).total


def replace_profile(profile: Profile) -> Conditions:
    return replace(CALM, profile=profile)


def test_the_time_budget_of_the_mode_counts() -> None:
    slow = Facts("local", 0.9, BUDGET_SEC[Mode.ECO] * 2, 0.0, 0.0, 1.0)
    assert score(slow, replace(CALM, mode=Mode.ECO)).terms["mode"] == 0.5
    assert score(slow, replace(CALM, mode=Mode.CRITICAL)).terms["mode"] == 1.0
