"""Mistyped words and the ones that were meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madre.language.spelling import Spelling, mistakes

SPELLING = Spelling(["borra", "borrar", "delete", "close", "open", "ventana", "descargar", "kill"])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("borrra", {"borra", "borrar"}),
        ("ventna", {"ventana"}),
        ("opne", {"open"}),
        ("delet", {"delete"}),
        ("dleete", {"delete"}),
        ("descrgarr", {"descargar"}),
    ],
)
def test_one_mistake_is_forgiven_two_in_a_long_word(typed: str, meant: set[str]) -> None:
    assert SPELLING.meant(typed) == meant


@pytest.mark.parametrize("typed", ["deleted", "borro", "closed", "opens", "borrado", "deletes", "gemma", "kil", "xpen"])
def test_another_form_or_another_word_is_no_mistake(typed: str) -> None:
    assert SPELLING.meant(typed) == frozenset()


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [
        ("open", "open", 0),
        ("open", "opne", 1),
        ("open", "oven", 1),
        ("open", "opens", 1),
        ("", "abc", 3),
        ("ca", "abc", 3),
    ],
)
def test_mistakes(one: str, other: str, count: int) -> None:
    assert mistakes(one, other) == count


@given(st.text("abc", max_size=7), st.text("abc", max_size=7))
def test_mistakes_are_the_same_both_ways_and_bounded(one: str, other: str) -> None:
    assert mistakes(one, other) == mistakes(other, one)
    assert abs(len(one) - len(other)) <= mistakes(one, other) <= max(len(one), len(other))
