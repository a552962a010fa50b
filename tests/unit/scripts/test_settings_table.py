"""`doctor --settings` lists what config.settings declares, and shows no secret."""

from __future__ import annotations

import io
from pathlib import Path

from scripts.doctor.settings_table import print_settings, rows
from scripts.terminal import Terminal
from tests.support.house import ADMIN, settings_in


def test_every_setting_has_a_name_and_a_meaning(tmp_path: Path) -> None:
    table = list(rows(settings_in(tmp_path)))
    assert len({row.name for row in table}) == len(table)
    assert all(row.name.startswith("VX11_") and row.description for row in table)
    assert {"VX11_TOKEN", "VX11_PORT_OFFSET", "VX11_POWER_WAKE_TTL_SEC"} <= {row.name for row in table}


def test_what_was_changed_shows_its_default_too(tmp_path: Path) -> None:
    found = {row.name: row for row in rows(settings_in(tmp_path, log_level="debug"))}
    assert (found["VX11_LOG_LEVEL"].value, found["VX11_LOG_LEVEL"].default) == ("debug", "info")
    assert found["VX11_LOG_LEVEL"].is_changed
    assert not found["VX11_BIND"].is_changed


def test_a_secret_is_said_to_be_set_and_not_shown(tmp_path: Path) -> None:
    stream = io.StringIO()
    print_settings(Terminal(stream, live=False), settings_in(tmp_path))
    assert "set, not shown" in stream.getvalue()
    assert ADMIN not in stream.getvalue()
