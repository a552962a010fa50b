"""llama.cpp compiled for this CPU computes what a generic build computes."""

from __future__ import annotations

import pytest

from scripts.compare_builds import compare, compared
from tests.support.worker import model_file


@pytest.mark.parametrize("pattern", ["SmolLM2-135M*.gguf", "gemma-3-270m*.gguf"])
def test_greedy_answers_agree_with_a_generic_build(pattern: str) -> None:
    found = compare(model_file(pattern))
    # Near ties may part ways after a while; wrong arithmetic parts ways at once.
    assert found["shortest_common_characters"] >= 1
    assert found["mean_common_share"] >= 0.5


def test_wrong_answers_would_be_noticed() -> None:
    found = compared(["Paris is a city", "x"], ["Paris is nice", "y"])
    assert found["shortest_common_characters"] == 0
    assert found["identical"] == 0
    assert found["mean_common_share"] == round((9 / 13 + 0) / 2, 3)
