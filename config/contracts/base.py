"""What all wire models share: how times are written, what unknown fields mean, how lists are cut."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, PlainSerializer

from config.clock import rfc3339

T = TypeVar("T")

Timestamp = Annotated[datetime, PlainSerializer(rfc3339, return_type=str, when_used="json")]


class Request(BaseModel):
    """A body that somebody sends: an unknown field is a typing mistake, so it is refused."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class Answer(BaseModel):
    """A body that a service sends: unknown fields are ignored, so that peers may be newer."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())


class Page(Answer, Generic[T]):
    """One page of a list, newest first; `next_cursor` is null on the last one."""

    items: list[T]
    next_cursor: str | None = None
