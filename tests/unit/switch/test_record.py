"""How an engine is judged by what it did."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from switch.record import HALF_LIFE_SEC, Record

histories = st.lists(st.tuples(st.booleans(), st.floats(0, 100)), max_size=30)


def lived(history: list[tuple[bool, float]]) -> tuple[Record, float]:
    record, now = Record(), 0.0
    for good, pause in history:
        now += pause
        if good:
            record.succeeded(now, 1.0)
        else:
            record.failed(now)
    return record, now


@given(histories, st.floats(0, 1e6))
def test_success_is_a_share_at_any_time(history: list[tuple[bool, float]], later: float) -> None:
    record, now = lived(history)
    assert 0 < record.success(now + later) < 1


@given(histories)
def test_a_failure_lowers_it_and_a_success_raises_it(history: list[tuple[bool, float]]) -> None:
    (better, now), (worse, _), (same, _) = lived(history), lived(history), lived(history)
    better.succeeded(now, None)
    worse.failed(now)
    assert worse.success(now) < same.success(now)
    assert better.success(now) >= worse.success(now)


def test_old_failures_are_forgiven() -> None:
    record, now = lived([(False, 1.0)] * 10)
    assert record.success(now) < 0.2
    assert record.success(now + 8 * HALF_LIFE_SEC) > 0.85


def test_the_newest_latency_counts_most() -> None:
    record = Record()
    record.succeeded(0, 1.0)
    record.succeeded(1, 11.0)
    assert record.latency_sec == 4.0


def test_three_failures_in_a_row_close_it_for_a_minute() -> None:
    record = Record()
    for moment in (0.0, 1.0):
        record.failed(moment)
        assert record.closed(moment) is None
    record.failed(2.0)
    assert record.closed(10.0) == ("it failed 3 times in a row", 52.0)
    assert record.closed(62.0) is None
    record.succeeded(63.0, 1.0)
    assert record.closed(63.0) is None


def test_a_local_model_s_failures_close_nothing() -> None:
    record = Record()
    for moment in range(5):
        record.failed(float(moment), breaks=False)
    assert record.closed(5.0) is None
    assert record.failed_lately(5.0)
    assert not record.failed_lately(60.0)


def test_who_asks_to_be_left_alone_is() -> None:
    record = Record()
    record.rests(30.0, "asked too often")
    assert record.closed(10.0) == ("asked too often", 20.0)
    assert record.closed(30.0) is None
