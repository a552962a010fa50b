"""Cursors of lists."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import Invalid
from config.paging import cut, decode_cursor, encode_cursor

MOMENTS = st.datetimes(timezones=st.just(UTC))


@given(MOMENTS, st.text())
def test_a_cursor_comes_back_as_it_was(moment: datetime, identifier: str) -> None:
    assert decode_cursor(encode_cursor((moment, identifier))) == (moment, identifier)


@pytest.mark.parametrize("cursor", [None, ""])
def test_no_cursor_is_the_first_page(cursor: str | None) -> None:
    assert decode_cursor(cursor) is None


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"[]", b"[1, 2]", b'["yesterday", "a"]', b"{}", b"null", b"[" * 9_999, b'["2026-01-01", "a", 1]'],
)
def test_a_cursor_nobody_handed_out_is_refused(content: bytes) -> None:
    with pytest.raises(Invalid, match="cursor"):
        decode_cursor(base64.urlsafe_b64encode(content).decode() or "!")


@given(st.text(min_size=1))
def test_any_text_is_read_or_refused(cursor: str) -> None:
    try:
        position = decode_cursor(cursor)
    except Invalid:
        return
    assert position is not None


def test_pages_follow_each_other() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [(start - timedelta(hours=hours), f"row-{hours}") for hours in range(3)]
    page, cursor = cut(rows, 2, lambda row: row)
    assert page == rows[:2]
    assert decode_cursor(cursor) == rows[1]
    assert cut(rows, 3, lambda row: row) == (rows, None)
    assert cut([], 3, lambda row: row) == ([], None)
