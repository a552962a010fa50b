"""Settings: where they come from, what they refuse."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from config.services import FLEET
from config.settings import Settings
from config.settings.zone import local_zone
from tests.support.crowd import ROOT

GROUPS = [
    Settings,
    *(field.annotation for field in Settings.model_fields.values() if "Settings" in str(field.annotation)),
]

# One child that prints what it read: settings are read from the environment of a process, so here is one.
PROGRAM = """
import json
from config.settings import load_settings
settings = load_settings()
token = settings.token and settings.token.get_secret_value()
print(json.dumps({**settings.model_dump(mode="json"), "token": token}))
"""


def read_with(folder: Path, **environment: str) -> dict[str, Any]:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(ended.stdout))


def test_the_names_people_rely_on_are_read(tmp_path: Path) -> None:
    found = read_with(
        tmp_path,
        VX11_TOKEN="mine-alone",
        VX11_DATABASE_URL="sqlite:///elsewhere.db",
        VX11_MODELS_PATH="/big/models",
        VX11_DATA_PATH="/big/data",
        VX11_MODEL_MEMORY_MB="1024",
        VX11_LOG_LEVEL="warning",
        VX11_BIND="127.0.0.2",
        VX11_PORT_OFFSET="100",
        VX11_ALLOW_SERVICE_CONTROL="1",
        VX11_POWER_DRIVER="noop",
        VX11_POWER_POLICY="full",
        VX11_POWER_WAKE="manual",
        VX11_POWER_WAKE_TTL_SEC="60",
        VX11_POWER_WINDOWS_TIMEOUT_SEC="5",
        VX11_POWER_WINDOWS_TTL_CHECK_INTERVAL="2",
        VX11_POWER_WINDOWS_ENABLED="0",
    )
    power = found.pop("power")
    assert {key: found[key] for key in ("token", "database_url", "models_path", "data_path", "model_memory_mb")} == {
        "token": "mine-alone",
        "database_url": "sqlite:///elsewhere.db",
        "models_path": "/big/models",
        "data_path": "/big/data",
        "model_memory_mb": 1024,
    }
    assert (found["log_level"], found["bind"], found["port_offset"]) == ("warning", "127.0.0.2", 100)
    assert found["allow_service_control"] is True
    assert (power["driver"], power["policy"], power["wake"], power["wake_ttl_sec"]) == ("noop", "full", "manual", 60)
    assert (power["windows_timeout_sec"], power["windows_ttl_check_interval"]) == (5, 2)
    assert power["windows_enabled"] is False


def test_a_dot_env_file_reaches_every_group_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "VX11_TENTACULO_LINK_TOKEN=from-the-file\n"
        "VX11_POWER_WAKE=manual\nVX11_POWER_WAKE_TTL_SEC=7\nVX11_SWITCH_PARALLEL=3\nVX11_LOG_LEVEL=\nUNRELATED=1\n"
    )
    found = read_with(tmp_path, VX11_POWER_WAKE_TTL_SEC="8")
    assert found["token"] == "from-the-file"
    assert (found["power"]["wake"], found["power"]["wake_ttl_sec"]) == ("manual", 8)
    assert found["switch"]["parallel"] == 3
    assert found["log_level"] == "info"


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.__name__)
def test_every_setting_says_what_it_is_for(group: type[BaseModel]) -> None:
    for name, field in group.model_fields.items():
        if "Settings" not in str(field.annotation):
            assert field.description, f"{group.__name__}.{name}"
            assert field.description.endswith("."), f"{group.__name__}.{name}"


def test_settings_are_frozen_all_the_way_down() -> None:
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.bind = "::"
    with pytest.raises(ValidationError, match="frozen"):
        settings.power.wake = "manual"


@pytest.mark.parametrize("token", ["with.dots-and_lines", "with a space", "~!@#$%^&*()", "eyJhbGciOi", "vx11_x"])
def test_a_token_may_be_whatever_a_header_carries(token: str) -> None:
    settings = Settings(token=token)  # type: ignore[arg-type]  # pydantic makes it secret
    assert settings.token is not None
    assert settings.token.get_secret_value() == token
    assert token not in repr(settings)


@pytest.mark.parametrize("token", ["", " ", " padded", "padded ", "contraseña", "tab\there", "line\nbreak", "🔑"])
def test_a_token_that_no_header_carries_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(ValidationError, match="VX11_TOKEN is sent in a header") as caught:
        Settings(token=token)  # type: ignore[arg-type]
    assert len(token.strip()) < 2 or token.strip() not in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [{"port_offset": -1}, {"model_memory_mb": 1}, {"log_level": "loud"}, {"service_hosts": "dns"}],
)
def test_senseless_values_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(**wrong)


def test_addresses_follow_the_table_and_the_offset() -> None:
    settings = Settings(port_offset=100)
    assert settings.port_of("madre") == 8101
    assert settings.url_of("madre") == "http://127.0.0.1:8101"
    assert Settings(service_hosts="names").url_of("madre") == "http://madre:8001"


def test_the_database_stands_beside_the_keys_unless_told_otherwise(tmp_path: Path) -> None:
    settings = Settings(data_path=tmp_path)
    assert settings.resolved_database_url == f"sqlite:///{tmp_path}/runtime/vx11.db"
    assert Settings(database_url="postgresql://db/vx11").resolved_database_url == "postgresql://db/vx11"


def test_on_one_host_only_the_door_is_open_to_others() -> None:
    house = Settings(bind="0.0.0.0")
    assert {name for name in FLEET if house.listens_on(name) == "0.0.0.0"} == {"tentaculo_link"}
    assert house.url_of("tentaculo_link") == "http://127.0.0.1:8000"
    assert Settings(bind="192.0.2.1").url_of("tentaculo_link") == "http://192.0.2.1:8000"


def test_in_containers_every_service_listens_and_is_found_by_name() -> None:
    for house in (Settings(service_hosts="names"), Settings(service_hosts="names", bind="192.0.2.1")):
        assert {house.listens_on(name) for name in FLEET} == {"0.0.0.0"}
    assert house.url_of("madre") == "http://madre:8001"


def test_clock_times_are_in_the_zone_that_is_named_else_in_the_machines() -> None:
    assert str(Settings(timezone="Europe/Madrid").zone) == "Europe/Madrid"
    assert Settings().zone == local_zone()
    with pytest.raises(ValidationError, match="there is no time zone 'Europe/Atlantis'"):
        Settings(timezone="Europe/Atlantis")


def test_a_machine_without_a_zone_is_in_utc(tmp_path: Path) -> None:
    torn = tmp_path / "localtime"
    torn.write_text("nothing")
    assert (local_zone(torn), local_zone(tmp_path / "none")) == (UTC, UTC)
