"""A whole foundation in a temporary folder: a real database, real tokens, tables made from the metadata."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from config.app import House, build_house
from config.clock import Clock
from config.db_schema import Base
from config.settings import Settings
from tests.support import databases

ADMIN = "vx11_admin-token-of-the-tests"
ADMIN_HEADERS = {"x-vx11-token": ADMIN}


def settings_in(folder: Path, **changes: Any) -> Settings:
    """Settings whose every path lies in `folder`, in no machine's time zone; `changes` override single ones."""
    given: dict[str, Any] = {"token": ADMIN, "data_path": folder / "data", "models_path": folder / "models"}
    given["timezone"] = "UTC"
    if databases.on_postgres() and "database_url" not in changes:
        given["database_url"] = databases.url_in(folder)
    return Settings(**{**given, **changes})


def house_in(
    folder: Path,
    service: str,
    *,
    clock: Clock | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    present: Collection[str] | None = None,
    **changes: Any,
) -> House:
    """The foundation of `service` in `folder`, with all tables there; with the rooms of this build, or `present`."""
    settings = settings_in(folder, **changes)
    house = build_house(service, settings, clock=clock, transport=transport, present=present)
    Base.metadata.create_all(databases.closed_later(house.db).writer)
    return house


@asynccontextmanager
async def client_of(app: FastAPI, headers: dict[str, str] | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of `app` over ASGI, with the app's lifespan running."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers or ADMIN_HEADERS) as client,
    ):
        yield client
