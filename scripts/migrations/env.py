"""Alembic's environment: runs the revisions beside this file on the database that `config.migrate` names.

The connection is the house's own writer, so everything happens in one turn of writing: a second migrator waits, and
a failed revision leaves nothing behind.

A new revision, after the tables in `config/db_schema` changed:

    python -m scripts.migrations "what changed"
"""

from __future__ import annotations

from alembic import context

from config.db import Database
from config.db_schema import Base


def _migrate() -> None:
    database = Database(context.config.attributes["url"])
    try:
        with database.writer.connect() as connection:
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
