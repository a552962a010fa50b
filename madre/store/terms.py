"""SQL of retention: which rows, of whomever, are past their term, and their end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Table, delete, func, select
from sqlalchemy.orm import Session

from config.db_schema.base import Base
from madre.retention import AGE_COLUMN


def rows_before(session: Session, cutoffs: Mapping[str, datetime]) -> dict[str, int]:
    """For each table, how many of its rows are older than its cutoff; what has no age yet is not."""
    return {
        name: session.scalar(select(func.count()).select_from(_table(name)).where(_age(name) < before)) or 0
        for name, before in cutoffs.items()
    }


def delete_before(session: Session, name: str, before: datetime, at_most: int) -> int:
    """Delete up to `at_most` rows of table `name` older than `before`, oldest first, with what hangs on them; how many.

    Rows that are numbered go in that order: the audit chain is cut at its head and nowhere else.
    """
    (key,) = _table(name).primary_key.columns
    order = key if key.name == "id" else _age(name)
    oldest = select(key).where(_age(name) < before).order_by(order).limit(at_most)
    ids = list(session.scalars(oldest))
    if ids:
        session.execute(delete(_table(name)).where(key.in_(ids)))
    return len(ids)


def _table(name: str) -> Table:
    return Base.metadata.tables[name]


def _age(name: str) -> Any:
    return _table(name).c[AGE_COLUMN[name]]
