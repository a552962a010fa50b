"""How many daughters may run at once, as Switch's fluzo says; looked at now and then, and only while it is awake."""

from __future__ import annotations

from config.clock import Clock
from config.errors import VX11Error
from spawner.clients import Switch
from spawner.turns import Slots, slots_for

_LOOK_EVERY_SEC = 10.0


class SlotWatch:
    """Keeps the last answer for a moment; without one, `otherwise` holds."""

    def __init__(self, switch: Switch, clock: Clock, otherwise: int) -> None:
        self._switch = switch
        self._clock = clock
        self._otherwise = otherwise
        self._looked_at: float | None = None
        self.last = slots_for(None, otherwise)

    async def now(self) -> Slots:
        """How many may run at once, not older than ten seconds."""
        moment = self._clock.monotonic()
        if self._looked_at is None or moment - self._looked_at >= _LOOK_EVERY_SEC:
            self._looked_at = moment
            self.last = slots_for(await self._profile(), self._otherwise)
        return self.last

    async def _profile(self) -> str | None:
        try:
            fluzo = await self._switch.fluzo()
        except VX11Error:
            return None
        return None if fluzo is None else fluzo.profile
