"""Engine modes by load, with hysteresis; profiles by signals; which readings become rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.fluzo import Profile, Signals, Thinning, profile_of
from switch.modes import MARGIN, Mode, Steering, load_of, mode_of

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("load", "mode"),
    [(0.0, "ECO"), (0.29, "ECO"), (0.30, "BALANCED"), (0.60, "HIGH_PERF"), (0.85, "CRITICAL"), (1.0, "CRITICAL")],
)
def test_the_contract_s_borders(load: float, mode: str) -> None:
    assert mode_of(load).value == mode
    steering = Steering()
    steering.looked(load)
    assert steering.mode.value == mode


def test_the_load_weighs_cpu_and_memory() -> None:
    assert load_of(1.0, 0.0) == 0.6
    assert load_of(0.5, 0.5) == 0.5


@given(st.lists(st.floats(0.31 - MARGIN, 0.29 + MARGIN), min_size=1, max_size=20))
def test_a_load_that_trembles_around_a_border_changes_nothing(loads: list[float]) -> None:
    steering = Steering(measured=Mode.ECO)
    for load in loads:
        steering.looked(load)
    assert steering.mode is Mode.ECO


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_a_mode_is_never_far_from_the_load(loads: list[float]) -> None:
    steering = Steering()
    for load in loads:
        steering.looked(load)
        assert steering.mode in {mode_of(load - MARGIN), mode_of(load), mode_of(load + MARGIN)}


@given(st.floats(0, 1), st.floats(0, 1))
def test_more_load_is_never_a_calmer_mode(one: float, two: float) -> None:
    order = list(Mode)
    low, high = sorted((one, two))
    assert order.index(mode_of(low)) <= order.index(mode_of(high))


def test_a_mode_set_by_hand_stays_until_it_is_given_back() -> None:
    steering = Steering()
    steering.looked(0.1)
    steering.by_hand = Mode.CRITICAL
    steering.looked(0.1)
    by_hand = steering.mode
    steering.by_hand = None
    assert (by_hand, steering.mode) == (Mode.CRITICAL, Mode.ECO)


PROFILES = [
    (Signals(0.1, 0.1), Profile.PERFORMANCE),
    (Signals(0.29, 0.39, battery=0.9), Profile.PERFORMANCE),
    (Signals(0.30, 0.1), Profile.BALANCED),
    (Signals(0.1, 0.40), Profile.BALANCED),
    (Signals(0.70, 0.75), Profile.BALANCED),
    (Signals(0.71, 0.1), Profile.LOW_POWER),
    (Signals(0.1, 0.76), Profile.LOW_POWER),
    (Signals(0.1, 0.1, battery=0.19), Profile.LOW_POWER),
    (Signals(0.1, 0.1, battery=0.20), Profile.PERFORMANCE),
]


@pytest.mark.parametrize(("signals", "profile"), PROFILES)
def test_profiles(signals: Signals, profile: Profile) -> None:
    assert profile_of(signals) is profile


def test_readings_are_kept_once_a_minute_and_when_the_profile_changes() -> None:
    thinning = Thinning()
    readings = [
        (0, "low_power"),
        (2, "low_power"),
        (4, "balanced"),
        (6, "balanced"),
        (64, "balanced"),
        (66, "balanced"),
    ]
    kept = [second for second, name in readings if thinning.keeps(Profile(name), NOW + timedelta(seconds=second))]
    assert kept == [0, 4, 64]
    assert all(two > one for one, two in pairwise(kept))
