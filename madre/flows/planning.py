"""All of planning in one hand, for the routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from config.app import House
from madre.flows.commands import Commands
from madre.flows.ground import Grounds
from madre.flows.plans import Plans
from madre.runner import Runner


class Planning:
    """The use cases of plans, and the POSTs that happen once per Idempotency-Key."""

    def __init__(self, house: House, runner: Runner, grounds: Grounds) -> None:
        self.plans = Plans(house, runner, grounds)
        self.commands = Commands(house, grounds, self.plans)
        self.once = house.idempotency.once

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The rails are there, and what nobody confirms ends, while the block runs."""
        await self.plans.put_lanes()
        async with self.plans.running():
            yield
