"""What every group of settings shares: where its variables come from, and the kinds of numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


def group(prefix: str) -> SettingsConfigDict:
    """The configuration of a frozen group whose variables begin with `prefix`."""
    return SettingsConfigDict(
        env_prefix=prefix,
        env_ignore_empty=True,  # `VX11_TOKEN=` in a file means unset
        hide_input_in_errors=True,  # the input may be a token
        frozen=True,
        extra="ignore",
        populate_by_name=True,
    )
