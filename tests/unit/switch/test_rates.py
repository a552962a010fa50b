"""What a request will take, from what others took."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.rates import ModelRates, Rates, Timings, timings_in

ENDING = (
    b'"timings":{"cache_n":3,"prompt_n":40,"prompt_ms":50.5,"predicted_n":11,"predicted_ms":2.5e2}}\n\ndata: [DONE]\n\n'
)
SECONDS = st.one_of(st.just(0.0), st.floats(1e-6, 500))


def measured(*, at_once: int = 1, prompt: float = 1000, decode: float = 50, answer: int = 100) -> ModelRates:
    rates = ModelRates(100)
    learn(rates, Timings(500, 500 / prompt, answer, answer / decode), at_once)
    return rates


def learn(rates: ModelRates, timings: Timings, at_once: int) -> None:
    """Have an answer counted whose reader kept no place longer than the model needed."""
    rates.learn(timings, at_once, timings.prompt_seconds + timings.answer_seconds)


def test_timings_are_read_off_the_end_of_an_answer() -> None:
    assert timings_in(b'data: {"x": 1, ' + ENDING) == Timings(40, 0.0505, 11, 0.25)


@pytest.mark.parametrize("tail", [b"", b"data: [DONE]", b'"timings":{}', b'"timings":{"prompt_n": 1.2.3}', b"\xff" * 9])
def test_an_answer_that_was_cut_off_has_none(tail: bytes) -> None:
    assert timings_in(tail) is None


def test_a_small_model_is_guessed_faster_than_a_large_one() -> None:
    small, large = ModelRates(100), ModelRates(4000)
    assert small.seconds(100, 100) < large.seconds(100, 100) / 10
    assert small.load_seconds < large.load_seconds


def test_what_was_measured_is_believed_at_once_and_then_moves_slowly() -> None:
    rates = measured(decode=50)
    assert rates.decode_per_second() == pytest.approx(50)
    learn(rates, Timings(0, 0, 100, 1), 1)
    assert rates.decode_per_second() == pytest.approx(60)


def test_a_prediction_is_prompt_by_prompt_rate_plus_answer_by_decode_rate() -> None:
    assert measured(prompt=1000, decode=50).seconds(2000, 100) == pytest.approx(2 + 2)


def test_several_at_once_are_each_slower_but_faster_together() -> None:
    rates = measured(decode=50)
    assert 50 / 4 < rates.decode_per_second(4) < 50
    learn(rates, Timings(0, 0, 100, 5), 4)
    assert rates.decode_per_second(4) == pytest.approx(20)
    assert 20 * 4 > rates.decode_per_second(8) * 8 / 2 > 20
    assert rates.decode_per_second(1) == pytest.approx(50)


def test_an_answer_is_as_long_as_others_were_but_never_longer_than_allowed() -> None:
    rates = measured(answer=40)
    assert rates.answer_tokens(None) == 40
    assert rates.answer_tokens(16) == 16
    assert ModelRates(100).answer_tokens(10_000) == ModelRates(100).answer_tokens(None)


def test_short_prompts_do_not_spoil_the_rate_of_long_ones() -> None:
    rates = measured(prompt=1000)
    learn(rates, Timings(2, 1.0, 0, 0), 1)
    assert rates.prompt_per_second() == pytest.approx(1000)


def test_places_are_kept_as_long_as_they_were_kept_before_but_never_shorter_than_the_model_needs() -> None:
    rates = measured(prompt=1000, decode=50)
    rates.learn(Timings(500, 0.5, 100, 2.0), 1, 5.0)
    assert rates.seconds(500, 100) == pytest.approx(2.5)
    assert 2.5 < rates.stay_seconds(500, 100, 1) < 5.0
    for _ in range(50):
        rates.learn(Timings(500, 0.5, 100, 2.0), 1, 0.1)
    assert rates.stay_seconds(500, 100, 1) == pytest.approx(2.5)


def test_a_file_that_was_replaced_is_another_model() -> None:
    rates = Rates()
    learn(rates.of("a", "one", 100), Timings(0, 0, 7, 1), 1)
    assert rates.of("a", "one", 100).decode_per_second() == 7
    assert rates.of("a", "two", 100).decode_per_second() != 7


@given(
    st.lists(st.tuples(st.integers(0, 5000), SECONDS, st.integers(0, 5000), SECONDS, st.integers(1, 32))),
    st.integers(1, 32),
)
def test_whatever_was_measured_a_prediction_is_a_positive_number(
    measurements: list[tuple[int, float, int, float, int]], at_once: int
) -> None:
    rates = ModelRates(100)
    for prompt, prompt_sec, answer, answer_sec, number in measurements:
        learn(rates, Timings(prompt, prompt_sec, answer, answer_sec), number)
    assert 0 < rates.seconds(10, 10, at_once) <= rates.stay_seconds(10, 10, at_once) < float("inf")
