"""Lists are newest first, cut into pages; a cursor is an opaque position (time, id) in that order."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from config.errors import Invalid

Position = tuple[datetime, str]
R = TypeVar("R")


def encode_cursor(position: Position) -> str:
    """The cursor that stands for `position`."""
    raw = json.dumps([position[0].isoformat(), position[1]]).encode()
    return base64.urlsafe_b64encode(raw).decode()


def decode_cursor(cursor: str | None) -> Position | None:
    """The position behind `cursor`; None for the first page, Invalid for something nobody handed out."""
    if not cursor:
        return None
    try:
        written, identifier = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        moment = datetime.fromisoformat(written)
        return moment.astimezone(UTC), str(identifier)
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError):
        raise Invalid("This cursor was not handed out here.", hint="Start again without one.") from None


def cut(rows: Sequence[R], limit: int, position_of: Callable[[R], Position]) -> tuple[list[R], str | None]:
    """The first `limit` of `limit + 1` rows fetched, and the cursor of the next page if there is one."""
    page = list(rows[:limit])
    more = len(rows) > limit
    return page, encode_cursor(position_of(page[-1])) if more else None
