"""Imports, once, everything a service will need, so that forking one costs no import and shares the memory."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import sys

from config import lifeline
from config.services import present_services

_log = logging.getLogger(__name__)
# What the libraries import only when they are first used, found by comparing sys.modules before and after.
_LATE = (
    "anyio._backends._asyncio",
    "encodings.idna",
    "httpcore",
    "pysqlite3.dbapi2",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
)


def leave_out_unused() -> None:
    """Before anything else is imported: keep out what no service uses (the command line of httpx, 4 MiB with rich)."""
    sys.modules["httpx._main"] = None  # type: ignore[assignment]  # how Python spells "not to be imported"


def preload() -> None:
    """Import the rooms that are there and what they use late, then set the memory aside for sharing.

    A room that cannot be imported is left out: its child will fail with the reason in its own log.
    """
    gc.disable()  # collecting now would only move objects that are about to be frozen; children enable it
    for module in ("config.serve", "config.db_schema", *_LATE, *(f"{s.module}.app" for s in present_services())):
        try:
            importlib.import_module(module)
        except Exception:  # border: one broken room must not keep the others down
            _log.exception("cannot preload %s", module)
    _configure_mappers()
    gc.collect()
    gc.freeze()
    lifeline.release_free_memory()
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        _log.error("an import started %d threads; forked children will not have them", threads - 1)


def _configure_mappers() -> None:
    from sqlalchemy.orm import configure_mappers  # noqa: PLC0415  # after the preload, not with this module

    configure_mappers()
