"""One migrator, on an empty, a current and a newer database; the revision in the tree is what the tables are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from config import migrate
from config.db import Database
from config.db_schema import Base
from tests.support import databases
from tests.support.house import settings_in

ROOT = Path(__file__).resolve().parents[3]


def database_in(folder: Path) -> Database:
    return Database(databases.url_in(folder, empty=True))


def test_the_newest_file_is_the_head_alembic_sees() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.MIGRATIONS))
    assert migrate.head() == ScriptDirectory.from_config(config).get_current_head()


def test_an_empty_database_comes_to_head_and_holds_what_the_metadata_says(tmp_path: Path) -> None:
    database = database_in(tmp_path)
    assert migrate.current(database) is None
    migrate.upgrade(database.url)
    assert migrate.current(database) == migrate.head()
    assert migrate.is_at_head(settings_in(tmp_path))
    with database.writer.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    assert database.integrity() == "ok"
    migrate.upgrade(database.url)
    migrate.wait_for_head(database, within_sec=0)
    database.close()


def test_a_service_does_not_run_on_another_schema(tmp_path: Path) -> None:
    database = database_in(tmp_path)
    with pytest.raises(SystemExit, match="python -m config migrate"):
        migrate.wait_for_head(database, within_sec=0)
    migrate.upgrade(database.url)
    with database.writer.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SystemExit, match="revision 9999"):
        migrate.wait_for_head(database, within_sec=0)
    database.close()


def test_two_migrators_at_once_do_it_once(tmp_path: Path) -> None:
    environment = {"VX11_DATA_PATH": str(tmp_path / "data"), "PATH": "", **databases.environment(tmp_path)}
    argv = [sys.executable, "-m", "config", "migrate"]
    both = [subprocess.Popen(argv, env=environment, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(2)]
    said = [one.communicate(timeout=60)[1] for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    database = database_in(tmp_path)
    assert migrate.current(database) == migrate.head()
    database.close()
