"""Chat, intents, conversations and autonomy in one hand, for the routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from config.app import House
from madre.flows.answering import Answering
from madre.flows.asking import Asking
from madre.flows.autonomy import Autonomy
from madre.flows.hearing import Hearing
from madre.flows.plans import Plans
from madre.flows.power import Power
from madre.flows.reconciler import Reconciler


class Speaking:
    """The use cases of what is said to madre, and of what she does unasked."""

    def __init__(self, house: House, reconciler: Reconciler, power: Power, plans: Plans, autonomy: Autonomy) -> None:
        answering = Answering(house, reconciler, power.waking)
        self.asking = Asking(house, Hearing(house, plans, answering, power.waking), plans)
        self.autonomy = autonomy
        self.once = house.idempotency.once

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Conversations end in time and autonomy ticks while the block runs."""
        async with self.asking.running(), self.autonomy.running():
            yield
