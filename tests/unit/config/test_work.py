"""Counting work in progress."""

from __future__ import annotations

import pytest

from config.work import WorkMeter


def test_work_counts_while_it_lasts_even_when_it_fails() -> None:
    meter = WorkMeter()

    def scan() -> None:
        with meter.doing("scan"):
            assert meter.in_progress == 3
            assert meter.by_kind() == {"download": 2, "scan": 1}
            raise LookupError

    with meter.doing("download"), meter.doing("download"):
        with pytest.raises(LookupError):
            scan()
        assert meter.by_kind() == {"download": 2}
    assert (meter.in_progress, meter.by_kind()) == (0, {})
