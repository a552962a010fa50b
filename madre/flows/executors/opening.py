"""Actions that have services up: opening a window, starting one service. Done by madre's own flows.

What they leave behind holds services, with `hold` for ever, so whoever is cut short or fails takes it back. Its row is
there before anybody knows its name; it is found as what was not there before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy.orm import Session

from config.app import House
from config.contracts.power import ServiceControl, WindowClose, WindowOpen
from config.errors import Conflict, StartFailed, Waking
from config.services import CORE
from madre.actions.power import OneService, OpenWindow
from madre.flows.executors.order import Executor, Executors, Order, Result
from madre.flows.power import Power
from madre.flows.reconciler import Reconciler
from madre.store import power as store
from madre.undo import CHANGED
from madre.windows import HOLDING, Window

_AGAIN_SEC = 1.0


class OpeningActs:
    """One method an action."""

    def __init__(self, house: House, power: Power, reconciler: Reconciler) -> None:
        self._house = house
        self._power = power
        self._reconciler = reconciler

    @property
    def table(self) -> Executors:
        """The executors by the names of their actions."""
        return {
            "power.open_window": Executor(self.open, stop=self.close_opened),
            "service.start": Executor(self.start, stop=self.let_go),
        }

    async def open(self, order: Order) -> Result:
        """Open a window, or extend the one that is the same; waits for its services, and takes no other end for one."""
        if "before" not in order.noted:  # whether it is new must be known before it is there
            await order.note(before=await self._held())
        window = await self._power.windows.open(_body(order), order.caller)
        if window.state not in HOLDING:
            raise Conflict(f"Window {window.window_id} was ended before its services were up: {window.state}.")
        self._must_be_ready(window.services)
        shown = window.model_dump(mode="json", include={"window_id", "services", "mode", "state", "deadline"})
        return {**shown, CHANGED: window.window_id not in order.noted["before"]}

    async def close_opened(self, order: Order) -> Result:
        """Close the window that was opened, unless it was there before."""
        like = {"services": tuple(_body(order).services), "opened_by": order.caller.user, "origin": "asked"}
        return await self._closed(order, order.noted.get("before"), like)

    async def start(self, order: Order) -> Result:
        """Start one service, and hold it; waits until it is up."""
        told = order.told(OneService)
        if "before" not in order.noted:
            was_up = self._reconciler.known[told.service].is_up
            await order.note(before=was_up, windows=await self._held())
        body = ServiceControl(apply=True, reason=told.reason)
        done = await self._power.control.control(told.service, "start", body, order.caller)
        if self._reconciler.known[told.service].is_hopeless:
            said = await self._reconciler.driver.last_words(told.service)
            raise StartFailed(f"{told.service} would not stay up.\n{said}".strip())
        if told.service not in CORE:
            self._must_be_ready([told.service])
        output = done.exec.output if done.exec else ""
        return {"service": done.service, "done": done.plan, "output": output, CHANGED: not order.noted["before"]}

    async def let_go(self, order: Order) -> Result:
        """Close the hold on the service, unless it was there before."""
        like = {"services": (order.told(OneService).service,), "origin": "control"}
        return await self._closed(order, order.noted.get("windows"), like)

    def _must_be_ready(self, services: Iterable[str]) -> None:
        late = [name for name in services if self._reconciler.known[name].state != "ready"]
        if late:
            raise Waking(f"{', '.join(late)} did not come up in time.", retry_after_sec=_AGAIN_SEC)

    async def _held(self) -> list[str]:
        return [window.window_id for window in await self._house.db.reading(store.live_windows) if window.holds]

    async def _closed(self, order: Order, before: list[str] | None, like: dict[str, Any]) -> Result:
        """Close what is like this and was not there before; where that was not looked at, nothing was done."""
        if before is not None:
            for window in await self._house.db.reading(_alike, like):
                if window.window_id not in before:
                    await self._power.windows.close(WindowClose(window_id=window.window_id), order.caller)
        return {}


def _alike(session: Session, like: dict[str, Any]) -> list[Window]:
    live = [window for window in store.live_windows(session) if window.holds]
    return [window for window in live if all(getattr(window, name) == value for name, value in like.items())]


def _body(order: Order) -> WindowOpen:
    told = order.told(OpenWindow)
    return WindowOpen(services=list(told.services), ttl_sec=told.ttl_sec, mode=told.mode, reason=told.reason)
