"""The schema's version: one process migrates, all others wait until it has.

Alembic is imported by the migrating process alone; looking at the version takes one query and the names of
the revision files, `NNNN_<what>.py`, whose number is the revision's id.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from pathlib import Path

from sqlalchemy import inspect, text

from config.db import Database
from config.errors import Unavailable
from config.settings import Settings

MIGRATIONS = Path(__file__).resolve().parent.parent / "scripts" / "migrations"
_LOOK_EVERY_SEC = 0.05
_WAIT_SEC = 60.0  # for the migrator, and for a database that is still on its way up
_log = logging.getLogger(__name__)


def head() -> str | None:
    """The id of the newest revision in the tree."""
    revisions = (path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))
    return max(revisions, default=None)


def current(database: Database) -> str | None:
    """The revision the database is at; None for an empty one."""
    with database.read() as session:
        if not inspect(session.connection()).has_table("alembic_version"):
            return None
        revision: str | None = session.scalar(text("SELECT version_num FROM alembic_version"))
        return revision


def is_at_head(settings: Settings) -> bool:
    """Whether the database, once it answers, needs no migration; opens and closes its own connections."""
    database = Database(settings.resolved_database_url)
    try:
        return _current_once_it_answers(database, time.monotonic() + _WAIT_SEC) == head()
    finally:
        database.close()


def wait_for_head(database: Database, *, within_sec: float = _WAIT_SEC) -> None:
    """Return once the schema is the one this code was written for; SystemExit after `within_sec`."""
    give_up = time.monotonic() + within_sec
    wanted = head()
    while (found := _current_once_it_answers(database, give_up)) != wanted:
        if time.monotonic() > give_up:
            sys.exit(f"the database is at revision {found}, this code needs {wanted}: run `python -m config migrate`")
        time.sleep(_LOOK_EVERY_SEC)


def _current_once_it_answers(database: Database, give_up: float) -> str | None:
    """What `current` says; SystemExit if nothing answers until `give_up` (monotonic): the database may start later."""
    while True:
        try:
            return current(database)
        except Unavailable as error:
            if time.monotonic() > give_up:
                sys.exit(f"no database to work with: {error.detail} (VX11_DATABASE_URL says where it should be)")
            time.sleep(_LOOK_EVERY_SEC)


def migrate_apart(settings: Settings) -> None:
    """Bring the database to head in a process of its own where it is not there yet; SystemExit if that fails."""
    if is_at_head(settings):
        return
    done = subprocess.run([sys.executable, "-m", "config", "migrate"], check=False)
    if done.returncode != 0:
        sys.exit(f"the migration failed with status {done.returncode}; its reason is printed above")


def upgrade(url: str) -> None:
    """Bring the database at `url` to head, in this process."""
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it talks while it is imported
    from alembic import command  # noqa: PLC0415  # 15 MiB that only the migrating process pays
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    command.upgrade(config, "head")
    _log.info("database at revision %s", head())
