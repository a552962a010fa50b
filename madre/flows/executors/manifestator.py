"""Actions that manifestator does: finding drift, drawing up patches. Nothing here applies one."""

from __future__ import annotations

from config.contracts.watch import PatchWish
from config.errors import Conflict
from madre.actions.rooms import PatchPlan
from madre.clients import Manifestator
from madre.flows.executors.order import Executor, Executors, Order, Result

_SHOWN = 100


class ManifestatorActs:
    """One method an action."""

    def __init__(self, manifestator: Manifestator) -> None:
        self._manifestator = manifestator

    @property
    def table(self) -> Executors:
        """The executors by the names of their actions."""
        awake = ("manifestator",)
        return {
            "scan.drift": Executor(self.drift, needs=awake),
            "patch.plan": Executor(self.plan, needs=awake),
        }

    async def drift(self, order: Order) -> Result:
        """Compare what is with the manifest."""
        page = await self._manifestator.drift(order.caller, _SHOWN)
        return {"drift": page.items, "more": page.next_cursor is not None}

    async def plan(self, order: Order) -> Result:
        """Draw up a patch for the drift as it is now: a plan may have waited since it was found.

        What was found is kept before it is sent: after a death the same key must bring the same evidence.
        """
        if "drift" not in order.noted:
            await order.note(**await self.drift(order))
        found = order.noted
        if not found["drift"]:
            raise Conflict("There is no drift, so there is nothing to patch.")
        wish = PatchWish(drift_evidence=found["drift"], scope=order.told(PatchPlan).scope)
        patch = await self._manifestator.patch_plan(wish, order.caller, order.key)
        return {"patch": patch.model_dump(mode="json"), "more": found["more"]}
