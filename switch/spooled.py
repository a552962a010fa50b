"""Rows of a finished request as one line of text, and back: how they stand in the spool. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from config.db_schema import SwitchQueueV2
from config.db_schema.base import Base
from switch.rows import Bill

_MOMENT = "$at"


@dataclass(frozen=True, slots=True)
class Record:
    """What one request leaves. `life_id` names the row by which it is known whether all of it was written already."""

    life_id: str | None
    rows: list[Base]
    bills: list[Bill]


def line_of(rows: Iterable[Base], bills: Iterable[Bill]) -> bytes:
    """One line for one request."""
    written = {
        "rows": [[row.__tablename__, _values(row)] for row in rows],
        "bills": [asdict(bill) for bill in bills],
    }
    return json.dumps(written, default=_moment).encode() + b"\n"


def record_in(line: bytes) -> Record | None:
    """What a line holds; None for one that was not written to its end."""
    if not line.endswith(b"\n"):
        return None
    written = json.loads(line, object_hook=_read)
    rows = [_table(name)(**values) for name, values in written["rows"]]
    life = next((row.id for row in rows if isinstance(row, SwitchQueueV2)), None)
    return Record(life, rows, [Bill(**bill) for bill in written["bills"]])


def _values(row: Base) -> dict[str, Any]:
    """The row's columns but an `id` that the database will give."""
    values = {column.key: getattr(row, column.key) for column in row.__table__.columns}
    return {name: value for name, value in values.items() if name != "id" or value is not None}


def _moment(value: object) -> object:
    if isinstance(value, datetime):
        return {_MOMENT: value.isoformat()}
    raise TypeError(f"{type(value).__name__} does not belong into a row")


def _read(found: dict[str, Any]) -> Any:
    return datetime.fromisoformat(found[_MOMENT]) if found.keys() == {_MOMENT} else found


def _table(name: str) -> type[Base]:
    return next(mapper.class_ for mapper in Base.registry.mappers if mapper.class_.__tablename__ == name)
