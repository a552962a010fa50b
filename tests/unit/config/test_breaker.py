"""The circuit breaker: three failures open it for a minute, then one try decides."""

from __future__ import annotations

from config.breaker import FAILURES_TO_OPEN, OPEN_SEC, Breaker


def opened(at: float) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN):
        assert breaker.admits(at)
        breaker.failed(at)
    return breaker


def test_it_opens_at_the_third_failure_in_a_row() -> None:
    breaker = Breaker()
    breaker.failed(0)
    breaker.failed(0)
    breaker.succeeded()
    breaker.failed(0)
    breaker.failed(0)
    assert breaker.admits(0)
    breaker.failed(0)
    assert not breaker.admits(0)


def test_it_says_when_to_ask_again() -> None:
    breaker = opened(at=100)
    assert breaker.retry_after_sec(100) == OPEN_SEC
    assert breaker.retry_after_sec(130) == OPEN_SEC - 30
    assert breaker.retry_after_sec(1_000) == 0
    assert Breaker().retry_after_sec(0) == 0


def test_after_the_pause_exactly_one_may_try() -> None:
    breaker = opened(at=0)
    assert not breaker.admits(OPEN_SEC - 0.001)
    assert [breaker.admits(OPEN_SEC) for _ in range(3)] == [True, False, False]


def test_a_good_try_closes_it() -> None:
    breaker = opened(at=0)
    assert breaker.admits(OPEN_SEC)
    breaker.succeeded()
    assert [breaker.admits(OPEN_SEC) for _ in range(3)] == [True, True, True]


def test_a_failed_try_opens_it_for_another_pause() -> None:
    breaker = opened(at=0)
    assert breaker.admits(OPEN_SEC)
    breaker.failed(OPEN_SEC)
    assert not breaker.admits(2 * OPEN_SEC - 0.001)
    assert breaker.admits(2 * OPEN_SEC)


def test_a_try_that_is_given_up_leaves_its_place_to_the_next() -> None:
    breaker = opened(at=0)
    assert breaker.admits(OPEN_SEC)
    assert not breaker.admits(OPEN_SEC)
    breaker.given_up()
    assert breaker.admits(OPEN_SEC)
