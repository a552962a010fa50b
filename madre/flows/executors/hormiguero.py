"""Actions that hormiguero does: looking for faults."""

from __future__ import annotations

from madre.clients import Hormiguero
from madre.flows.executors.order import Executor, Executors, Order, Result

_SHOWN = 100


class HormigueroActs:
    """One method an action."""

    def __init__(self, hormiguero: Hormiguero) -> None:
        self._hormiguero = hormiguero

    @property
    def table(self) -> Executors:
        """The executors by the names of their actions."""
        return {"scan.run": Executor(self.run, needs=("hormiguero",))}

    async def run(self, order: Order) -> Result:
        """Look for faults once; the incidents that are not resolved then. Done again it only looks again."""
        await self._hormiguero.scan(order.caller)
        page = await self._hormiguero.incidents(order.caller, _SHOWN)
        known = [incident for incident in page.items if incident.status != "resolved"]
        shown = [
            {"incident_id": one.incident_id, "kind": one.kind, "severity": one.severity, "title": one.title}
            for one in known
        ]
        return {"incidents": shown, "problems": [one.title for one in known], "more": page.next_cursor is not None}
