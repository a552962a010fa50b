"""Amounts in the words a person reads: bytes, seconds, rates."""

from __future__ import annotations

KB, MB, GB = 1_000, 1_000_000, 1_000_000_000
MIB = 1 << 20
GIB = 1 << 30


def bytes_in_words(amount: float) -> str:
    """`98_400_000` → `98.4 MB`; decimal units, as download pages and disks count."""
    for unit, name in ((GB, "GB"), (MB, "MB"), (KB, "kB")):
        if amount >= unit:
            return f"{amount / unit:.1f} {name}"
    return f"{amount:.0f} B"


def seconds_in_words(seconds: float) -> str:
    """`135` → `2 min 15 s`; two units at most, none smaller than a second."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def left_in_words(seconds: float) -> str:
    """An estimate, rounded as far as it can be trusted: `about 3 min left`."""
    if seconds >= 90:
        return f"about {round(seconds / 60)} min left"
    if seconds >= 10:
        return f"about {round(seconds / 10) * 10} s left"
    return "a few seconds left"
