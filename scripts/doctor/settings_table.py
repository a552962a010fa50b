"""Every setting of the fleet, derived from the models in `config.settings`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from config.settings import Settings
from scripts.terminal import Terminal


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting: how the environment calls it, what it is unless set, what it is now, what it is for."""

    name: str
    default: str
    value: str
    description: str

    @property
    def is_changed(self) -> bool:
        """Whether somebody set it to something else."""
        return self.value != self.default


def rows(settings: BaseSettings) -> Iterator[SettingRow]:
    """The settings of `settings` and of the groups in it, in the order of their definition."""
    groups = []
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, BaseSettings):
            groups.append(value)
            continue
        default = field.get_default(call_default_factory=True)
        yield SettingRow(_env_name(settings, name, field), _shown(default), _shown(value), field.description or "")
    for group in groups:
        yield from rows(group)


def print_settings(terminal: Terminal, settings: Settings) -> None:
    """Each setting with its value; the default beside it where it was changed."""
    for row in rows(settings):
        value = terminal.bold(f"{row.value} (default {row.default})") if row.is_changed else row.value
        terminal.say(f"{row.name:<34} {value}\n{'':<34} {terminal.dim(row.description)}")


def _env_name(settings: BaseSettings, name: str, field: FieldInfo) -> str:
    if isinstance(field.validation_alias, AliasChoices):
        return str(field.validation_alias.choices[0])
    return f"{type(settings).model_config.get('env_prefix', '')}{name}".upper()


def _shown(value: object) -> str:
    """A value for people; secrets are said to be set, never shown."""
    if value is None:
        return "unset"
    if isinstance(value, SecretStr):
        return "set, not shown"
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value)
