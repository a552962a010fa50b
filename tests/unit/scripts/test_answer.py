"""How fast an answer came is measured, or said to be unknown; it is never made up."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from scripts.cli.answer import Speed, measured, print_answer
from scripts.cli.door import Piece
from scripts.terminal import Terminal
from tests.support.clock import ManualClock


def test_the_first_tokens_time_is_the_prompts() -> None:
    speed = measured(asked_at=10, first_at=11, last_at=13, tokens=41)
    assert speed == Speed(first_piece_sec=1, tokens=41, tokens_per_sec=20)
    assert str(speed) == "41 tokens, 20 tokens/s, first after 1.00 s"


@pytest.mark.parametrize(
    ("first", "last", "tokens"), [(11.0, 13.0, None), (11.0, 11.0, 5), (11.0, 13.0, 1), (None, None, 0)]
)
def test_what_cannot_be_known_is_not_given(first: float | None, last: float | None, tokens: int | None) -> None:
    assert measured(10, first, last, tokens).tokens_per_sec is None


def test_no_answer_is_said() -> None:
    assert str(measured(10, None, None, None)) == "no answer came"


def test_pieces_are_printed_as_they_come() -> None:
    stream, clock = io.StringIO(), ManualClock()
    printed_before: list[str] = []

    def pieces() -> Iterator[Piece]:
        for text in ("The sea", "\nis blue"):
            clock.advance(1)
            printed_before.append(stream.getvalue())
            yield Piece(text)
        yield Piece("", {"completion_tokens": 5})

    speed = print_answer(pieces(), Terminal(stream, live=False, monotonic=clock.monotonic), indent="  ")
    assert printed_before == ["  ", "  The sea"]
    assert stream.getvalue() == "  The sea\n  is blue\n"
    assert speed == Speed(first_piece_sec=1, tokens=5, tokens_per_sec=4)
