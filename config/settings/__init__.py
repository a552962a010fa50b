"""The only reader of the environment: every setting, once, with its default and what it is for.

Settings are frozen and passed to what needs them; nothing else looks at `os.environ`. Each group has
its own prefix, so the names people rely on (`VX11_POWER_WAKE_TTL_SEC`) stay flat: `rooms.py`, `retention.py`.
`./vx11 doctor --settings` prints them all as a table.
"""

from __future__ import annotations

import os
from datetime import tzinfo
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from config.services import service_named
from config.settings.group import group
from config.settings.retention import RetentionSettings
from config.settings.rooms import (
    GatewaySettings,
    HermesSettings,
    MadreSettings,
    PowerSettings,
    SpawnerSettings,
    SwitchSettings,
)
from config.settings.zone import local_zone, zone_named

__all__ = [
    "GatewaySettings",
    "HermesSettings",
    "MadreSettings",
    "PowerSettings",
    "RetentionSettings",
    "Settings",
    "SpawnerSettings",
    "SwitchSettings",
    "inherited_environment",
    "load_settings",
]

PortOffset = Annotated[int, Field(ge=0, le=65_535 - 8_020)]  # 8020: the highest port of the house

_OPEN_DOORS = frozenset({"tentaculo_link"})
_EVERY_IPV4 = "0.0.0.0"  # noqa: S104  # only inside a container
_EVERY_ADDRESS = frozenset({_EVERY_IPV4, "::"})


class Settings(BaseSettings):
    """All settings of one process."""

    model_config = group("VX11_")

    token: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("VX11_TOKEN", "VX11_TENTACULO_LINK_TOKEN"),
        description="The admin token; unset: the one in data/runtime/admin.token, made at first start.",
    )
    database_url: str | None = Field(default=None, description="SQLAlchemy URL; unset: SQLite at data/runtime/vx11.db.")
    data_path: Path = Field(default=Path("data"), description="Where everything that must survive is kept.")
    models_path: Path = Field(default=Path("models"), description="Where model files are kept.")
    secrets_path: Path | None = Field(
        default=None,
        description="Where `admin.token` and `service.key` are, the same for every service; unset: data/runtime.",
    )
    model_memory_mb: int | None = Field(
        default=None, ge=64, description="Memory for models, MiB; unset: 60 % of what the host or container has."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lowest level that is logged."
    )
    timezone: str | None = Field(
        default=None,
        description="The zone of clock times in what people say, as in Europe/Madrid; unset: the machine's.",
    )
    bind: str = Field(
        default="127.0.0.1",
        description="Address the door listens on; with containers, the host's address that it is published on.",
    )
    port_offset: PortOffset = Field(
        default=0, description="Added to every port, so that two fleets fit on one machine."
    )
    service_hosts: Literal["loopback", "names"] = Field(
        default="loopback", description="How services find each other: on this host, or by name (containers)."
    )
    allow_service_control: bool = Field(
        default=False, description="Whether single services may be started and stopped."
    )
    power: PowerSettings = Field(default_factory=PowerSettings)
    gateway: GatewaySettings = Field(default_factory=GatewaySettings)
    switch: SwitchSettings = Field(default_factory=SwitchSettings)
    hermes: HermesSettings = Field(default_factory=HermesSettings)
    spawner: SpawnerSettings = Field(default_factory=SpawnerSettings)
    madre: MadreSettings = Field(default_factory=MadreSettings)
    retention: RetentionSettings = Field(default_factory=RetentionSettings)

    @field_validator("token")
    @classmethod
    def _fits_a_header(cls, token: SecretStr | None) -> SecretStr | None:
        text = "unset" if token is None else token.get_secret_value()
        if not (text and text.isascii() and text.isprintable() and text == text.strip()):
            raise ValueError("VX11_TOKEN is sent in a header: plain ASCII, no space at either end")
        return token

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, name: str | None) -> str | None:
        if name is not None:
            zone_named(name)
        return name

    @property
    def zone(self) -> tzinfo:
        """The zone of clock times that people say."""
        return zone_named(self.timezone) if self.timezone else local_zone()

    @property
    def prefixes_path(self) -> Path:
        """Saved states of prompts; each worker makes it, for its user only."""
        return self.data_path / "prefixes"

    @property
    def runtime_path(self) -> Path:
        """The folder of the database, keys, sockets and pid files; made 0700 by who first needs it."""
        return self.data_path / "runtime"

    @property
    def logs_path(self) -> Path:
        """The folder of what each service prints."""
        return self.data_path / "logs"

    @property
    def spawner_path(self) -> Path:
        """The folder of daughters: what they work in and what they said."""
        return self.data_path / "spawner"

    @property
    def backups_path(self) -> Path:
        """The folder of database backups."""
        return self.data_path / "backups"

    @property
    def resolved_database_url(self) -> str:
        """The database in use, as a SQLAlchemy URL."""
        return self.database_url or f"sqlite:///{self.runtime_path.absolute() / 'vx11.db'}"

    def port_of(self, service: str) -> int:
        """The TCP port that `service` listens on."""
        return service_named(service).port + self.port_offset

    def listens_on(self, service: str) -> str:
        """The address that `service` listens on. On one host only the door is ever open to others; in a container every
        service listens to its own network, and what the container publishes decides who else comes in."""
        if self.service_hosts == "names":
            return _EVERY_IPV4
        return self.bind if service in _OPEN_DOORS else "127.0.0.1"

    def url_of(self, service: str) -> str:
        """The base URL under which `service` is reached from another service."""
        host = service
        if self.service_hosts == "loopback":
            listening = self.listens_on(service)
            host = "127.0.0.1" if listening in _EVERY_ADDRESS else listening
        return f"http://{host}:{self.port_of(service)}"


def load_settings() -> Settings:
    """Read the environment (and a `.env` in the working directory, where there is one), once per process."""
    groups: dict[str, Any] = {
        name: field.annotation(_env_file=".env")
        for name, field in Settings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseSettings)
    }
    return Settings(_env_file=".env", **groups)  # type: ignore[call-arg]  # pydantic-settings' own parameter


def inherited_environment() -> dict[str, str]:
    """The environment to hand on to a child process, as it is; for starting one, not for reading."""
    return dict(os.environ)
