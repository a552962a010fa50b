"""pip's words, understood."""

from __future__ import annotations

import pytest

from config.errors import BadPeer, DiskFull, NotFound, Unavailable
from hermes.pip_output import failure, progress_in


def test_progress_lines() -> None:
    assert progress_in("Progress 262144 of 92871040\n") == (262144, 92871040)
    assert progress_in("Progress 10 of 0") == (10, None)
    assert progress_in("  Downloading a-1-py3-none-any.whl (1 MB)") is None


@pytest.mark.parametrize(
    ("errors", "error"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", DiskFull),
        (
            "WARNING: Retrying after connection broken by 'NewConnectionError'\nERROR: No matching distribution found",
            Unavailable,
        ),
        ("ERROR: Could not find a version (from versions: 0.1)\nERROR: No matching distribution found for a", NotFound),
        ("No module named pip", BadPeer),
        ("", BadPeer),
    ],
)
def test_failures(errors: str, error: type[Exception]) -> None:
    assert isinstance(failure("a==1", errors), error)


def test_the_versions_there_are_are_named() -> None:
    said = "ERROR: Could not find a version (from versions: 0.1, 0.2)\nERROR: No matching distribution found for a==9"
    assert "0.1, 0.2" in failure("a==9", said).detail
