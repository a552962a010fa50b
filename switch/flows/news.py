"""News of hermes' registry: what was removed, disabled or replaced leaves memory, what is to be pinned is."""

from __future__ import annotations

import contextlib
import logging

from config.app import House
from config.errors import NotEnoughMemory
from switch.flows.registry import Registry
from switch.pool import Pool

_log = logging.getLogger(__name__)
_REGISTRY_EVENTS = ("model.registered", "model.changed", "model.removed")


class News:
    """Follows the registry's events."""

    def __init__(self, house: House, pool: Pool, registry: Registry) -> None:
        self._house = house
        self._pool = pool
        self._registry = registry
        self._to_pin = set(house.settings.switch.pinned)

    async def follow(self) -> None:
        """Pin what is to be pinned, and act on each of the registry's events."""
        async with contextlib.aclosing(self._house.journal.subscribe(prefixes=_REGISTRY_EVENTS)) as events:
            if self._to_pin:
                await self._look()
            async for _ in events:
                await self._look()

    async def _look(self) -> None:
        files = await self._registry.models(fresh_sec=0.0)
        self._pool.follow(files)
        for name in sorted(self._to_pin & set(files)):
            self._to_pin.discard(name)
            try:
                self._pool.pin(files[name])
            except NotEnoughMemory as error:
                _log.error("VX11_SWITCH_PINNED asks for too much: %s", error.detail)
