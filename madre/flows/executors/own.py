"""Actions on plans and on autonomy, done by madre's own flows."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy.orm import Session

from config.auth import Caller
from config.contracts.autonomy import AutonomyMode
from config.contracts.plans import Plan, PlanCancel
from config.errors import ServiceAbsent
from madre.actions.system import OnePlan, StartAutonomy
from madre.flows.executors.order import Executor, Executors, Order, Result
from madre.store import plans as store
from madre.undo import CHANGED

_SHOWN = 20


class Canceller(Protocol):
    """Whoever ends plans."""

    async def cancel(self, plan_id: str, body: PlanCancel, caller: Caller) -> Plan:
        """End a plan; cancelling again changes nothing."""


class Autonomous(Protocol):
    """Whoever starts and stops autonomy."""

    def put(self, session: Session, mode: AutonomyMode, caller: Caller, reason: str = "") -> AutonomyMode:
        """Leave autonomy in `mode`; the mode it was in."""


class OwnActs:
    """One method an action."""

    def __init__(self, plans: Canceller, autonomy: Autonomous) -> None:
        self._plans = plans
        self._autonomy = autonomy

    @property
    def table(self) -> Executors:
        """The executors by the names of their actions."""
        return {
            "plans.list": Executor(within=self.list),
            "plans.cancel": Executor(self.cancel),
            "autonomy.start": Executor(within=self.start),
            "autonomy.stop": Executor(within=self.stop),
        }

    def list(self, session: Session, order: Order) -> Result:
        """The caller's newest plans, whatever their rights: others' are looked at by name, and on record."""
        found = store.plans_before(session, None, _SHOWN, user=order.caller.user)
        return {
            "plans": [
                {"plan_id": plan.plan_id, "status": plan.status.value, "text": plan.asked.text[:200]} for plan in found
            ]
        }

    async def cancel(self, order: Order) -> Result:
        """End a plan."""
        plan = await self._plans.cancel(order.told(OnePlan).plan_id, PlanCancel(), order.caller)
        return {"plan_id": plan.plan_id, "status": plan.status.value}

    def start(self, session: Session, order: Order) -> Result:
        """Have madre look after the fleet by herself."""
        return self._put(session, order, order.told(StartAutonomy).mode)

    def stop(self, session: Session, order: Order) -> Result:
        """Have madre act only when asked."""
        return self._put(session, order, "off")

    def _put(self, session: Session, order: Order, mode: AutonomyMode) -> Result:
        was = self._autonomy.put(session, mode, order.caller, f"plan {order.plan_id}")
        return {"mode": mode, "before": was, CHANGED: was != mode}


async def absent(order: Order) -> Result:
    """For the actions of a room that this build does not hold: it says so."""
    raise ServiceAbsent(f"{order.action.name} is done by {order.action.owner}, which this build of VX11 does not hold.")
