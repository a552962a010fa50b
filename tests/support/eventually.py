"""Waiting for what another process will do: looks often, gives up at a deadline, says what it saw last."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx

T = TypeVar("T")
_LOOK_EVERY_SEC = 0.02


async def eventually(look: Callable[[], Awaitable[T]], holds: Callable[[T], bool], *, within_sec: float = 10) -> T:
    """The first result of `look` for which `holds` is true; AssertionError after `within_sec`."""
    give_up = time.monotonic() + within_sec
    while True:
        seen = await look()
        if holds(seen):
            return seen
        if time.monotonic() > give_up:
            raise AssertionError(f"not within {within_sec:g} s; last seen: {seen!r}")
        await asyncio.sleep(_LOOK_EVERY_SEC)


async def says_ready(http: httpx.AsyncClient, url: str = "") -> bool:
    """Whether the service at `url` is there, and can do its job by its own word."""
    try:
        return (await http.get(f"{url}/ready")).is_success
    except httpx.TransportError:
        return False
