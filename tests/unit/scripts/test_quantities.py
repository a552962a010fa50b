"""Amounts are worded for people."""

from __future__ import annotations

import pytest

from scripts.quantities import bytes_in_words, left_in_words, seconds_in_words


@pytest.mark.parametrize(
    ("amount", "words"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (98_362_432, "98.4 MB"), (4_368_439_584, "4.4 GB")],
)
def test_bytes(amount: int, words: str) -> None:
    assert bytes_in_words(amount) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0 s"), (0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (135, "2 min 15 s"), (7_260, "2 h 1 min")],
)
def test_seconds(seconds: float, words: str) -> None:
    assert seconds_in_words(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3, "a few seconds left"), (14, "about 10 s left"), (89, "about 90 s left"), (200, "about 3 min left")],
)
def test_an_estimate_is_rounded_as_far_as_it_can_be_trusted(seconds: float, words: str) -> None:
    assert left_in_words(seconds) == words
