"""Headers read from the beginning of a file that is elsewhere."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import BadModelFile
from hermes.gguf import read_header
from hermes.window import FIRST_BYTES, NeedMore, ensure_opening, header_in, next_length
from tests.support.gguf import gguf_bytes

MODEL = gguf_bytes(elements=1000)


def missing(length: int) -> int | None:
    """How many bytes must be there at least, where these do not suffice."""
    try:
        header_in(MODEL[:length], len(MODEL))
    except NeedMore as more:
        return more.wanted
    return None


@given(st.integers(0, len(MODEL)))
def test_a_beginning_gives_the_header_or_asks_for_more_never_for_what_is_here(length: int) -> None:
    wanted = missing(length)
    assert wanted is None or length < wanted <= len(MODEL)


def test_growing_beginnings_lead_to_the_header() -> None:
    length, turns = 1, 0
    while wanted := missing(length):
        length, turns = max(2 * length, wanted), turns + 1
    assert header_in(MODEL[:length], None) == read_header(io.BytesIO(MODEL), len(MODEL))
    assert turns < 20


def test_a_file_shorter_than_its_tensors_is_told_from_its_beginning() -> None:
    with pytest.raises(BadModelFile, match="cut off"):
        header_in(MODEL, len(MODEL) - 1)


@given(st.binary(max_size=200))
def test_no_beginning_breaks_the_reading(beginning: bytes) -> None:
    with pytest.raises((BadModelFile, NeedMore)):
        header_in(beginning, 10_000)


def test_what_to_have_next_grows_and_is_bounded() -> None:
    assert next_length(0, 10, 1 << 30) == FIRST_BYTES
    assert next_length(FIRST_BYTES, 10, 1 << 30) == 2 * FIRST_BYTES
    assert next_length(FIRST_BYTES, 5 * FIRST_BYTES, 1 << 30) == 5 * FIRST_BYTES
    assert next_length(FIRST_BYTES, 5 * FIRST_BYTES, 3 * FIRST_BYTES) == 3 * FIRST_BYTES


def test_a_page_is_recognised_by_its_first_bytes() -> None:
    ensure_opening(MODEL)
    with pytest.raises(BadModelFile, match="DOCTYPE"):
        ensure_opening(b"<!DOCTYPE html>")
