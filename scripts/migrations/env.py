"""Alembic's environment: runs the revisions beside this file on the database that `config.migrate` names.

The connection is the house's own writer, so on SQLite everything happens between BEGIN IMMEDIATE and
COMMIT: a second migrator waits, and a failed revision leaves nothing behind.

A new revision, after the tables in `config/db_schema` changed:

    python -m scripts.migrations "what changed"
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

from config.db import Database
from config.db_schema import Base

_POSTGRES_LOCK = 0x5658_3132  # "VX12": one migrator at a time where BEGIN IMMEDIATE does not exist


def _migrate() -> None:
    database = Database(context.config.attributes["url"])
    try:
        with database.writer.connect() as connection:
            if not database.is_sqlite:
                connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _POSTGRES_LOCK})
            context.configure(
                connection=connection,
                target_metadata=Base.metadata,
                render_as_batch=database.is_sqlite,
                transactional_ddl=True,
                user_module_prefix="db.",
            )
            with context.begin_transaction():
                context.run_migrations()
            connection.commit()
    finally:
        database.close()


_migrate()
