"""The deadline that travels with a call."""

from __future__ import annotations

import pytest

from config import deadline


def test_without_a_header_there_is_none() -> None:
    with deadline.arrived(None):
        assert deadline.seconds_left() is None
        assert deadline.within(15) == 15


def test_the_smaller_of_timeout_and_what_is_left_counts() -> None:
    with deadline.arrived(b"60000"):
        assert deadline.within(2) == 2
        left = deadline.seconds_left()
        assert left is not None
        assert 0 < left <= 60
        assert deadline.within(120) <= 60


def test_a_deadline_in_the_past_leaves_nothing() -> None:
    with deadline.arrived(b"0"):
        assert deadline.seconds_left() == 0


@pytest.mark.parametrize(
    "header", [b"", b"soon", b"-5", b"1.5", b" 5", "²".encode("latin-1"), b"9" * 400, b"9" * 5_000]
)
def test_senseless_headers_mean_none(header: bytes) -> None:
    with deadline.arrived(header):
        assert deadline.seconds_left() is None


def test_a_deadline_ends_with_its_request() -> None:
    with deadline.arrived(b"60000"):
        with deadline.arrived(b"10"):
            assert deadline.within(60) < 1
        assert deadline.within(60) > 1
    assert deadline.seconds_left() is None
