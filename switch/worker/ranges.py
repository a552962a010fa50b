"""Whole numbers from one bound to another, as a rule of a grammar. Pure.

The way: cut the range where a block of equal leading digits begins or ends, so that each piece is a row of digit
ranges (`[4-9]`, `[1-9] [0-9]`, …).
"""

from __future__ import annotations

MOST_DIGITS = 15  # what a JSON number holds exactly


def rule_of(low: int | None, high: int | None) -> str:
    """The grammar of the whole numbers from `low` to `high`; None is no bound. ValueError when there are none."""
    if low is not None and high is not None and low > high:
        raise ValueError(f"no whole number lies between {low} and {high}")
    if max(abs(low or 0), abs(high or 0)) >= 10**MOST_DIGITS:
        raise ValueError(f"bounds of whole numbers have at most {MOST_DIGITS} digits")
    pieces = []
    if low is None or low < 0:
        # What is below zero, mirrored: from 1, or from the distance of `high`, up to the distance of `low`.
        nearest = max(1, -high) if high is not None else 1
        pieces.append(f'"-" ({_up(nearest, None if low is None else -low)})')
    if high is None or high >= 0:
        pieces.append(_up(max(low or 0, 0), high))
    return " | ".join(pieces)


def _up(low: int, high: int | None) -> str:
    """From `low` >= 0 upwards."""
    if high is not None:
        return " | ".join(_digits(*piece) for piece in _pieces(low, high))
    longest = len(str(low))
    longer = f"[1-9] [0-9]{{{longest},{MOST_DIGITS - 1}}}" if longest < MOST_DIGITS else ""
    return " | ".join([_digits(*piece) for piece in _pieces(low, 10**longest - 1)] + ([longer] if longer else []))


def _pieces(low: int, high: int) -> list[tuple[int, int]]:
    """`low` to `high` in pieces whose numbers have the same length and differ in a digit range, then in all digits."""
    stops, block = {high}, 10
    while low <= (stop := low // block * block + block - 1) < high:
        stops.add(stop)
        block *= 10
    block = 10
    while low < (stop := (high + 1) // block * block - 1) <= high:
        stops.add(stop)
        block *= 10
    starts = [low] + [stop + 1 for stop in sorted(stops)[:-1]]
    return list(zip(starts, sorted(stops), strict=True))


def _digits(low: int, high: int) -> str:
    pairs = zip(str(low), str(high), strict=True)
    return " ".join(f"[{first}-{last}]" if first != last else f'"{first}"' for first, last in pairs)
