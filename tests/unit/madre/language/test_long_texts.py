"""Reading takes time by the length of a text: one user's noise must not stop madre for everybody."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from config.services import FLEET
from madre.language import read

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def steps_of(work: Callable[[], object]) -> int:
    """Function calls that `work` makes: a measure that no load changes."""
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("unit", ["(", "no ", "si ", "y ", ", ", "abre una ventana. ", "open a window on switch and "])
def test_twice_the_text_is_about_twice_the_work(unit: str) -> None:
    def reading(length: int) -> int:
        text = (unit * length)[:length]
        return steps_of(lambda: read(text, now=NOW, services=tuple(FLEET)))

    reading(10)
    assert reading(1600) < 3 * reading(800)
