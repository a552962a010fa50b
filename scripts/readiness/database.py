"""The database: it answers, is whole, at the schema this code was written for, with every table, of a sane size."""

from __future__ import annotations

from collections.abc import Iterator, Set
from pathlib import Path

from sqlalchemy import inspect, make_url

from config import audit
from config.db import Database
from config.db_schema import Base
from config.errors import VX11Error
from config.migrate import current, head
from config.settings import Settings
from config.sqlite import sqlite_module
from scripts.doctor.finding import Finding, failure, ok, warning
from scripts.doctor.fleet import audit_chain, database_integrity, sqlite_version
from scripts.quantities import MB, bytes_in_words

LARGEST_BYTES = 500 * MB
_WAIT = "Is it the database of this fleet (VX11_DATABASE_URL, VX11_DATA_PATH), and free to be read?"


def examine(settings: Settings) -> list[Finding]:
    """All findings; one alone where it cannot be read."""
    if not is_there(settings):
        return [failure("database", "There is none.", "Start the fleet: ./vx11 up")]
    database = Database(settings.resolved_database_url)
    try:
        return list(_findings(database, settings))
    except VX11Error as error:
        return [failure("database", error.detail, _WAIT)]
    finally:
        database.close()


def is_there(settings: Settings) -> bool:
    """Whether there is a database to open; opening SQLite's would make an empty one."""
    return settings.database_url is not None or (settings.runtime_path / "vx11.db").exists()


def _findings(database: Database, settings: Settings) -> Iterator[Finding]:
    with database.read() as session:
        there = set(inspect(session.connection()).get_table_names())
        yield tables(there)
        if "audit_logs" in there:
            yield audit_chain(audit.verify(session))
    yield database_integrity(database.integrity())
    yield revision(current(database), head())
    if database.is_sqlite:
        module = sqlite_module()
        yield sqlite_version(tuple(module.sqlite_version_info), own=module.__name__.startswith("pysqlite3"))
        yield size(Path(str(make_url(database.url).database)))
        yield backups(settings.backups_path)


def tables(there: Set[str]) -> Finding:
    """Whether every table of every owner is there."""
    essential = set(Base.metadata.tables)
    missing = sorted(essential - there)
    if missing:
        return failure("tables", f"missing: {', '.join(missing)}", "python -m config migrate")
    return ok("tables", f"all {len(essential)} are there")


def revision(found: str | None, wanted: str | None) -> Finding:
    """Whether the schema is the one this code was written for."""
    if found == wanted:
        return ok("schema", f"at revision {found}")
    return failure("schema", f"at revision {found}, this code needs {wanted}", "python -m config migrate")


def size(file: Path) -> Finding:
    """Whether the file, with what is still in its write-ahead log, is of a size that retention keeps."""
    parts = (file, file.with_name(file.name + "-wal"))
    taken = sum(part.stat().st_size for part in parts if part.exists())
    words = bytes_in_words(taken)
    if taken <= LARGEST_BYTES:
        return ok("size", words)
    remedy = 'POST /madre/power/maintenance {"apply": true} deletes what is past its term.'
    return warning("size", f"{words}, more than {bytes_in_words(LARGEST_BYTES)}", remedy)


def backups(folder: Path) -> Finding:
    """Whether a copy was ever made."""
    made = sorted(folder.glob("vx11-*.db"))
    if made:
        return ok("backup", f"{len(made)} kept, the last is {made[-1].name}")
    remedy = 'POST /madre/power/maintenance {"apply": true} makes a verified one; copy it to another disk.'
    return warning("backup", "none was ever made", remedy)
