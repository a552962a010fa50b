"""The enabled models of hermes' registry, read anew when they are older than a second or a name is not found."""

from __future__ import annotations

from config.app import House
from config.errors import UnknownModel
from switch import store
from switch.choose import ModelFile, chosen

_FRESH_SEC = 1.0


class Registry:
    """Hermes' registry as Switch sees it."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._models: dict[str, ModelFile] = {}
        self._read_at = float("-inf")

    async def named(self, request: dict[str, object]) -> ModelFile:
        """The model asked for; a name not seen yet makes the registry be read anew."""
        try:
            return chosen(request, await self.models())
        except UnknownModel:
            return chosen(request, await self.models(fresh_sec=0.0))

    async def models(self, fresh_sec: float = _FRESH_SEC) -> dict[str, ModelFile]:
        """Every model that may be served, by name, as it was at most `fresh_sec` ago."""
        now = self._house.clock.monotonic()
        if now - self._read_at >= fresh_sec:
            self._models, self._read_at = await self._house.db.reading(store.enabled_models), now
        return self._models
