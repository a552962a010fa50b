"""How long to wait before starting again something that keeps failing."""

from __future__ import annotations

_EXPONENT_MAX = 32  # beyond it every cap is long reached, and floats stay small


def backoff_sec(failures: int, *, first_sec: float, cap_sec: float) -> float:
    """Seconds to wait after `failures` failures in a row: 0, then `first_sec` doubling up to `cap_sec`."""
    if failures <= 0:
        return 0.0
    return min(cap_sec, first_sec * 2.0 ** min(failures - 1, _EXPONENT_MAX))
