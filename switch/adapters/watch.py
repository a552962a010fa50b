"""Whether a worker is well: it answers, and while requests are in flight its engine makes steps."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

import aiohttp


class Healthy(Protocol):
    """What is watched."""

    async def health(self) -> dict[str, object]:
        """`GET /health` of the worker."""
        ...


@dataclass(slots=True)
class Watch:
    """Follows one worker. `stall_sec`: how long it may stand still before it counts as hung."""

    worker: Healthy
    stall_sec: float
    _steps: object = field(default_factory=object)  # equal to nothing that a worker says
    _moved_at: float = field(default=float("-inf"))

    async def look(self, now: float) -> str | None:
        """Why the worker is of no use any more; None while it is well, or has ended by itself."""
        try:
            async with asyncio.timeout(self.stall_sec):
                health = await self.worker.health()
        except TimeoutError:
            return f"it did not answer for {self.stall_sec:g} s"
        except (aiohttp.ClientError, ValueError):
            return None  # it is going, and will be missed soon enough
        in_flight, steps = health.get("in_flight"), health.get("steps")
        if not in_flight or steps != self._steps:
            self._steps, self._moved_at = steps, now
        return f"it computed nothing for {self.stall_sec:g} s" if now - self._moved_at >= self.stall_sec else None
