"""Sizes as Docker prints them."""

from __future__ import annotations

import pytest

from scripts.composed.project import in_mib


@pytest.mark.parametrize(
    ("printed", "mib"),
    [("85.3MiB ", 85.3), ("1.5GiB", 1536), ("512KiB", 0.5), ("0B", 0), ("20.97MB", 20), ("1.049GB", 1000.4)],
)
def test_every_unit_comes_out_as_mib(printed: str, mib: float) -> None:
    assert in_mib(printed) == pytest.approx(mib, abs=0.1)


@pytest.mark.parametrize("printed", ["", "--", "85.3 parsecs"])
def test_what_is_no_size_is_refused(printed: str) -> None:
    with pytest.raises(RuntimeError):
        in_mib(printed)
