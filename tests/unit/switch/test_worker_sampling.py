"""Sampling parameters as a chain of llama.cpp samplers."""

import pytest

from switch.worker.sampling import Sampling, Stage, stages


def names(sampling: Sampling) -> list[str]:
    return [stage.name for stage in stages(sampling, n_vocab=100)]


def test_temperature_zero_is_the_likeliest_token_and_nothing_else() -> None:
    assert names(Sampling(temperature=0, top_k=5, top_p=0.1)) == ["greedy"]


def test_the_order_is_that_of_llama_cpp() -> None:
    assert names(Sampling(presence_penalty=0.5)) == ["penalties", "top_k", "top_p", "min_p", "temp", "dist"]


def test_what_changes_nothing_is_left_out() -> None:
    assert names(Sampling(temperature=1, top_k=0, top_p=1, min_p=0)) == ["temp", "dist"]


@pytest.mark.parametrize(
    "sampling",
    [Sampling(repeat_penalty=1.1), Sampling(frequency_penalty=-0.5), Sampling(presence_penalty=0.1, temperature=0)],
)
def test_any_penalty_comes_first(sampling: Sampling) -> None:
    assert names(sampling)[0] == "penalties"


def test_the_seed_decides_the_draw() -> None:
    assert list(stages(Sampling(seed=42), n_vocab=100))[-1] == Stage("dist", (42,))
