"""Pauses grow, and stop growing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from config.backoff import backoff_sec
from config.forkserver.keeping import FIRST_PAUSE_SEC, LONG_LIFE_SEC, LONGEST_PAUSE_SEC, Kept, after_exit


def test_it_doubles_up_to_the_cap() -> None:
    assert [backoff_sec(n, first_sec=0.5, cap_sec=3) for n in range(6)] == [0, 0.5, 1, 2, 3, 3]


@given(st.integers(0, 10_000), st.floats(0.001, 10), st.floats(0.001, 100))
def test_it_never_shrinks_and_never_passes_the_cap(failures: int, first_sec: float, cap_sec: float) -> None:
    pause = backoff_sec(failures, first_sec=first_sec, cap_sec=cap_sec)
    assert 0 <= pause <= cap_sec
    assert backoff_sec(failures + 1, first_sec=first_sec, cap_sec=cap_sec) >= pause


def test_a_core_service_that_keeps_dying_is_started_ever_later() -> None:
    kept = Kept()
    for deaths in range(1, 20):
        kept = after_exit(kept, lived_sec=1, now=100)
        assert kept.failures == deaths
        assert 100 + FIRST_PAUSE_SEC <= kept.start_at <= 100 + LONGEST_PAUSE_SEC
    assert kept.start_at == 100 + LONGEST_PAUSE_SEC


def test_a_long_life_makes_the_next_start_prompt() -> None:
    kept = after_exit(Kept(failures=9), lived_sec=LONG_LIFE_SEC, now=100)
    assert kept == Kept(1, 100 + FIRST_PAUSE_SEC)
