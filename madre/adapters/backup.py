"""Copies of the database, made while it is in use (SQLite's backup API), checked before they count."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from config.db import Database
from config.sqlite import sqlite_module

KEPT = 7
_PAGES_AT_ONCE = 1_000
_ABANDONED_AFTER = timedelta(days=1)


def backed_up(database: Database, folder: Path, now: datetime) -> dict[str, Any]:
    """Copy the database into `folder` and check the copy; the newest seven are kept.

    What is answered holds `file` (its name alone), `bytes` and `check` (`ok`, or what is wrong: the copy is
    removed then); `skipped` with the reason where the database is not SQLite.
    """
    if not database.is_sqlite:
        return {"skipped": "PostgreSQL brings its own tool: pg_dump"}
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = folder / _name(now)
    partial = target.with_suffix(".partial")
    check = _copy(str(make_url(database.url).database), partial)
    if check != "ok":
        partial.unlink()
        return {"file": target.name, "check": check}
    partial.rename(target)
    for old in sorted(folder.glob("vx11-*.db"))[:-KEPT]:
        old.unlink()
    for left in folder.glob("vx11-*.partial"):  # of whoever was killed in the middle of a copy
        if left.name < _name(now - _ABANDONED_AFTER):
            left.unlink()
    return {"file": target.name, "bytes": target.stat().st_size, "check": check}


def _name(moment: datetime) -> str:
    return f"vx11-{moment:%Y%m%dT%H%M%SZ}.db"


def _copy(source: str, target: Path) -> str:
    sqlite = sqlite_module()
    target.unlink(missing_ok=True)
    with closing(sqlite.connect(source)) as original, closing(sqlite.connect(str(target))) as copy:
        original.backup(copy, pages=_PAGES_AT_ONCE)
        return "; ".join(str(row[0]) for row in copy.execute("PRAGMA quick_check"))
