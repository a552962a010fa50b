"""GCRA: a burst at once, the rate in the long run, an honest wait."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tentaculo_link.limits import Places, RateLimit


def test_a_burst_passes_and_the_next_is_told_how_long_to_wait() -> None:
    limit = RateLimit(rate_per_sec=2, burst=3)
    assert [limit.wait_for("a", 10.0) for _ in range(3)] == [0, 0, 0]
    assert limit.wait_for("a", 10.0) == 0.5
    assert limit.wait_for("a", 10.5) == 0
    assert limit.wait_for("b", 10.5) == 0


def test_a_refused_request_costs_nothing() -> None:
    limit = RateLimit(rate_per_sec=1, burst=1)
    limit.wait_for("a", 0.0)
    waits = [limit.wait_for("a", 0.25) for _ in range(5)]
    assert waits == [0.75] * 5


@given(
    gaps=st.lists(st.floats(0, 3, allow_nan=False), min_size=1, max_size=200),
    rate=st.floats(0.5, 50),
    burst=st.integers(1, 20),
)
def test_no_span_of_time_admits_more_than_burst_plus_rate(gaps: list[float], rate: float, burst: int) -> None:
    limit, now, admitted = RateLimit(rate, burst), 100.0, []
    for gap in gaps:
        now += gap
        if limit.wait_for("a", now) == 0:
            admitted.append(now)
    for first in range(len(admitted)):
        for last in range(first, len(admitted)):
            span = admitted[last] - admitted[first]
            assert last - first + 1 <= burst + rate * span + 1e-6


@given(rate=st.floats(0.5, 50), burst=st.integers(1, 20), now=st.floats(0, 1e6))
def test_who_waits_as_told_is_admitted(rate: float, burst: int, now: float) -> None:
    limit = RateLimit(rate, burst)
    wait = 0.0
    while wait == 0:
        wait = limit.wait_for("a", now)
    assert limit.wait_for("a", now + wait * (1 + 1e-9) + 1e-6) == 0


def test_idle_keys_are_forgotten() -> None:
    limit = RateLimit(rate_per_sec=1000, burst=1)
    for number in range(10_000):
        limit.wait_for(str(number), number * 1.0)
    assert len(limit._idle_at) < 5_000


def test_each_has_so_many_places_and_one_given_back_is_free() -> None:
    places = Places(2)
    assert [places.take("a") for _ in range(3)] == [True, True, False]
    assert places.take("b")
    places.give_back("a")
    assert [places.take("a"), places.take("a")] == [True, False]
