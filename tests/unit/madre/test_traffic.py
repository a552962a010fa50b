"""Requests as services count them, and what two looks at the counters say about the time between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.metrics import Metrics, Spread
from config.processes import storage_families
from madre.traffic import Traffic, between, quantile, read_storage, read_traffic

SECONDS = st.floats(0, 100)


def told(*answers: tuple[int, float]) -> str:
    """The exposition of a service that gave these answers: status, seconds until it began."""
    metrics = Metrics("switch")
    for status, seconds in answers:
        metrics.began()
        metrics.ended(status, seconds + 1, seconds)
    return metrics.exposition().decode()


def read(*answers: tuple[int, float]) -> Traffic:
    found = read_traffic(told(*answers))
    assert found is not None
    return found


def test_what_a_service_counts_is_read_back() -> None:
    traffic = read((200, 0.002), (200, 0.02), (404, 0.3), (503, 200.0))
    assert (traffic.requests, traffic.errors) == (4, 1)
    assert traffic.by_status == {"1xx": 0, "2xx": 2, "3xx": 0, "4xx": 1, "5xx": 1}
    assert traffic.answers.bounds[-1] == float("inf")
    assert traffic.answers.within[-2:] == (3, 4)
    assert traffic.answers.seconds == pytest.approx(200.322)


def test_a_text_that_counts_nothing_of_the_kind_is_none() -> None:
    assert read_traffic("") is None
    assert read_traffic('python_info{version="3"} 1.0\n') is None


def test_what_a_service_moved_is_read_back() -> None:
    metrics = Metrics("switch")
    assert read_storage(metrics.exposition().decode()) is None
    metrics.add(lambda: storage_families("switch"))
    found = read_storage(metrics.exposition().decode())
    assert found is not None
    assert min(found) >= 0


def test_between_two_looks_is_the_difference() -> None:
    seen = between(read((200, 0.002)), read((200, 0.002), (500, 0.4), (200, 0.4)))
    assert (seen.requests, seen.errors) == (2, 1)
    assert seen.answers.within[-1] == 2
    assert seen.answers.seconds == pytest.approx(0.8)


def test_a_service_that_began_anew_counts_from_nothing() -> None:
    assert between(read((200, 1), (200, 1)), read((200, 2))) == read((200, 2))


def test_a_quantile_lies_where_prometheus_would_put_it() -> None:
    spread = Spread((1.0, 2.0, float("inf")), (10, 30, 40), 0)
    assert quantile(spread, 0.25) == 1.0
    assert quantile(spread, 0.5) == 1.5, "half way through the bucket from 1 to 2"
    assert quantile(spread, 0.99) == 2.0, "beyond the last finite bound nothing is known"
    assert quantile(Spread((1.0, float("inf")), (0, 0), 0), 0.5) is None


@given(st.lists(SECONDS, min_size=1, max_size=30), st.floats(0.01, 1))
def test_a_quantile_is_in_the_bucket_of_the_answer_it_speaks_of(seconds: list[float], share: float) -> None:
    spread = read(*((200, one) for one in seconds)).answers
    found = quantile(spread, share)
    asked = sorted(seconds)[max(0, -int(-(share * len(seconds)) // 1) - 1)]
    upper = next(bound for bound in spread.bounds if asked <= bound)
    lower = max((bound for bound in spread.bounds if bound < upper), default=0.0)
    assert found is not None
    assert lower <= found <= upper
