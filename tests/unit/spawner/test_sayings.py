"""Output read from its segments: from any byte on, over gaps, while characters are half there."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.adapters.sayings import read_output, read_tail, total_of, write_output
from spawner.nursery.segments import Segments


def said(folder: Path, data: bytes, cap: int = 1 << 20) -> None:
    folder.mkdir(exist_ok=True)
    segments = Segments(folder, cap)
    segments.write(data)
    segments.close()


def all_of(folder: Path, most: int) -> tuple[str, int]:
    """Everything that can be read, piece by piece, and how much is missing."""
    text, omitted, offset = "", 0, 0
    while (piece := read_output(folder, offset, most, is_whole=True)).text or piece.omitted:
        text, omitted, offset = text + piece.text, omitted + piece.omitted, piece.next_offset
    return text, omitted


def test_before_anything_was_said_there_is_nothing(tmp_path: Path) -> None:
    piece = read_output(tmp_path / "none", 0, 100, is_whole=False)
    assert (piece.text, piece.omitted, piece.next_offset, piece.total) == ("", 0, 0, 0)
    assert (read_tail(tmp_path / "none"), total_of(tmp_path / "none")) == ("", 0)


@pytest.mark.parametrize("most", [4, 5, 7, 1000])
def test_pieces_make_the_whole_whatever_their_size(tmp_path: Path, most: int) -> None:
    text = "señal €uro 🜁 " * 20
    said(tmp_path, text.encode())
    assert all_of(tmp_path, most) == (text, 0)


def test_what_was_not_kept_is_counted(tmp_path: Path) -> None:
    data = b"".join(b"%06d\n" % number for number in range(10_000))
    said(tmp_path, data, cap=7000)
    text, omitted = all_of(tmp_path, 1000)
    assert text.startswith("000000\n000001\n")
    assert text.endswith("009998\n009999\n")
    assert len(text) + omitted == len(data) == total_of(tmp_path)
    assert omitted > 0
    assert read_tail(tmp_path).endswith("009999\n")


def test_a_character_that_is_half_there_waits_for_its_rest(tmp_path: Path) -> None:
    euro = "€".encode()
    said(tmp_path, b"a" + euro[:2])
    piece = read_output(tmp_path, 0, 100, is_whole=False)
    assert (piece.text, piece.next_offset, piece.total) == ("a", 1, 3)
    assert read_output(tmp_path, 0, 100, is_whole=True).text == "a\ufffd"


@given(st.binary(max_size=200))
def test_any_bytes_are_shown_and_none_is_lost(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        said(Path(folder), data)
        offset = 0
        while (piece := read_output(Path(folder), offset, 64, is_whole=True)).text:
            offset = piece.next_offset
        assert offset == piece.total == len(data)


def test_what_a_tool_answers_is_kept_alike(tmp_path: Path) -> None:
    assert write_output(tmp_path / "out", "sí") == 3
    assert all_of(tmp_path / "out", 100) == ("sí", 0)
