"""Actions on the fleet as a whole, done by madre herself: health, status, database, audit, telling people."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from config import audit
from config.app import House
from config.contracts import power as wire
from config.errors import NotFound
from config.events import fitting
from config.services import FLEET, is_present
from madre.actions.rooms import Notice
from madre.actions.system import Health, Maintenance
from madre.clients import Watched
from madre.flows.executors.order import Executor, Executors, Order, Result
from madre.flows.power import Power
from madre.flows.reconciler import Reconciler

_FOUND = "problems"
_MESSAGE_MAX = 3000  # bytes: what an event holds, less what stands beside it


class SystemActs:
    """One method an action."""

    def __init__(self, house: House, power: Power, reconciler: Reconciler) -> None:
        self._house = house
        self._power = power
        self._reconciler = reconciler
        self._watched = Watched(house.clients)

    @property
    def table(self) -> Executors:
        """The executors by the names of their actions."""
        return {
            "system.health": Executor(self.health),
            "system.status": Executor(self.status),
            "system.maintenance": Executor(self.maintenance),
            "db.sanity": Executor(self.sanity),
            "audit.verify": Executor(self.verify),
            "comm.notify": Executor(within=self.notify),
        }

    async def health(self, order: Order) -> Result:
        """How services are; one that sleeps is well."""
        named = order.told(Health).service
        if named is not None and not is_present(FLEET[named]):
            raise NotFound(f"This build of VX11 does not hold {named}.")
        names = [named] if named else [name for name, service in FLEET.items() if is_present(service)]
        found = dict(zip(names, await asyncio.gather(*map(self._health, names)), strict=True))
        return {"services": found, _FOUND: [name for name, said in found.items() if said not in ("ok", "asleep")]}

    async def status(self, order: Order) -> Result:
        """How the fleet and the machine are."""
        state = await self._power.windows.state()
        services = {
            service.name: {"state": service.state, "memory_mb": service.memory_mb} for service in state.services
        }
        measured = [service.memory_mb for service in state.services if service.memory_mb is not None]
        return {
            "policy": state.policy,
            "active_services": state.active_services,
            "windows": len(state.windows),
            "services": services,
            "memory_mb": round(sum(measured), 1),
        }

    async def maintenance(self, order: Order) -> Result:
        """Check the database; where told to, retain and back up, after a death once more as of the same moment."""
        body = wire.Maintenance(apply=order.told(Maintenance).apply)
        if body.apply and "at" not in order.noted:
            await order.note(at=self._house.clock.now().isoformat())
        at = datetime.fromisoformat(order.noted["at"]) if body.apply else None
        report = await self._power.upkeep.maintain(body, order.caller, at)
        return report.model_dump(mode="json")

    async def sanity(self, order: Order) -> Result:
        """Whether the database is whole."""
        verdict = await asyncio.to_thread(self._house.db.integrity)
        return {"integrity": verdict, _FOUND: [] if verdict == "ok" else [verdict]}

    async def verify(self, order: Order) -> Result:
        """Whether the audit chain is whole."""
        chain = await self._house.db.reading(audit.verify)
        problems = [] if chain.is_intact else [f"row {chain.broken_at} does not follow from the one before it"]
        return {"rows": chain.rows, _FOUND: problems}

    def notify(self, session: Session, order: Order) -> Result:
        """Tell people: an event that every page and subscriber gets."""
        message = order.told(Notice).message
        shown = fitting(message, _MESSAGE_MAX)
        told: dict[str, Any] = {"message": shown, "user": order.caller.user, "plan_id": order.plan_id}
        self._house.journal.append(session, "comm.notice", told)
        return {"told": message}

    async def _health(self, name: str) -> str:
        life = self._reconciler.known.get(name)
        if life is not None and life.state == "asleep":
            return "asleep"
        if name == self._house.service.name:
            return "ok"
        said = await self._watched.health(name)
        return "silent" if said is None else said.status
