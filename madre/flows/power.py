"""All of power in one hand, for the routes."""

from __future__ import annotations

from config.app import House
from madre.flows.control import Control
from madre.flows.gauges import Gauges
from madre.flows.leasing import Leasing
from madre.flows.policies import Policies
from madre.flows.reconciler import Reconciler
from madre.flows.upkeep import Upkeep
from madre.flows.waking import WakeFlow
from madre.flows.windows import Windows


class Power:
    """The use cases of power, and the POSTs that happen once per Idempotency-Key."""

    def __init__(self, house: House, reconciler: Reconciler) -> None:
        leasing = Leasing(house)
        self.gauges = Gauges(house, reconciler.driver, lambda: reconciler.known)
        self.windows = Windows(house, reconciler, leasing, self.gauges)
        self.waking = WakeFlow(house, reconciler, leasing)
        self.policies = Policies(house, reconciler, leasing)
        self.control = Control(house, reconciler, leasing)
        self.upkeep = Upkeep(house)
        self.once = house.idempotency.once
