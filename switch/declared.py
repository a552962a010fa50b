"""Providers by URL, as `providers.toml` declares them. Pure: the contract of the file, and the check of its text.

[providers.deepseek]
url = "https://api.deepseek.com/v1"      # what stands before /chat/completions
api_key = "…"                            # the file must be 0600 then
models = ["deepseek-chat"]               # left out: asked of its /models
price_in = 0.27                          # per million tokens
price_out = 1.10
budget_day = 1.0
budget_month = 10.0
"""

from __future__ import annotations

import re
import tomllib
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from config.errors import Invalid
from switch.budgets import Budget, Prices
from switch.offers import LOCAL

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
Money = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
ModelName = Annotated[str, Field(min_length=1, max_length=128)]


class Declared(BaseModel):
    """One endpoint. Timeouts in seconds: to the connection, to the first byte of a stream, between two pieces of one,
    and to the end of an answer that is not streamed."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, protected_namespaces=())

    url: str
    api_key: SecretStr | None = None
    enabled: bool = True
    models: tuple[ModelName, ...] | None = None
    tasks: tuple[Literal["chat", "completion", "embedding"], ...] = ("chat",)
    price_in: Money | None = None
    price_out: Money | None = None
    budget_day: Money | None = None
    budget_month: Money | None = None
    connect_sec: Seconds = 5.0
    first_byte_sec: Seconds = 30.0
    stall_sec: Seconds = 30.0
    total_sec: Seconds = 300.0

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be an http or https URL without query")
        if parts.username or parts.password:
            raise ValueError("a key belongs into api_key, not into the URL")
        return url.rstrip("/")

    @field_validator("api_key")
    @classmethod
    def _fits_a_header(cls, key: SecretStr | None) -> SecretStr | None:
        text = "unset" if key is None else key.get_secret_value()
        if not (text and text.isascii() and text.isprintable() and text == text.strip()):
            raise ValueError("is sent in a header: plain ASCII, not empty, no space at either end")
        return key

    @property
    def prices(self) -> Prices | None:
        """What its tokens cost; None where nothing was declared."""
        if self.price_in is None and self.price_out is None:
            return None
        return Prices(self.price_in or 0.0, self.price_out or 0.0)

    @property
    def budget(self) -> Budget:
        """What it may cost."""
        return Budget(self.budget_day, self.budget_month)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    providers: dict[str, Declared] = Field(default_factory=dict)


def parse_declared(text: str) -> dict[str, Declared]:
    """The providers of the file's text, by name; Invalid says what is wrong, without repeating any value."""
    try:
        file = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"The providers' file is not TOML: {error}.") from None
    except ValidationError as error:
        found = [{"field": ".".join(map(str, item["loc"])), "message": item["msg"]} for item in error.errors()]
        said = "; ".join(f"{item['field']}: {item['message']}" for item in found)
        raise Invalid(f"The providers' file is not as it should be: {said}.", errors=found) from None
    for name, declared in file.providers.items():
        if not _NAME.fullmatch(name) or name == LOCAL:
            raise Invalid(f"{name!r} cannot be the name of a provider: a-z, 0-9, '.', '_', '-', and not 'local'.")
        if (declared.budget_day is not None or declared.budget_month is not None) and declared.prices is None:
            raise Invalid(f"The provider {name} has a budget but no prices: nothing would ever be spent of it.")
    return file.providers


def holds_keys(declared: dict[str, Declared]) -> bool:
    """Whether anything in the file is a secret."""
    return any(one.api_key is not None for one in declared.values())
