"""Actions on power, done by madre's own flows; those that have services up are in `opening.py`."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from config.app import House
from config.contracts.power import ServiceControl, WindowClose, WindowExtend, WindowHold
from config.contracts.power import Window as ShownWindow
from config.errors import NotFound, StartFailed
from madre.actions.power import ApplyPolicy, CloseWindow, ExtendWindow, HoldWindow, OneService
from madre.flows.control import Verb
from madre.flows.executors.order import Executor, Executors, Order, Result
from madre.flows.power import Power
from madre.flows.reconciler import Reconciler
from madre.store import plans
from madre.store import power as store
from madre.undo import CHANGED
from madre.windows import Window, ends_last
from madre.world import asked, was_there


class PowerActs:
    """One method an action."""

    def __init__(self, house: House, power: Power, reconciler: Reconciler) -> None:
        self._house = house
        self._power = power
        self._reconciler = reconciler

    @property
    def table(self) -> Executors:
        """The executors by the names of their actions."""
        return {
            "power.state": Executor(self.state),
            "power.close_window": Executor(self.close),
            "power.hold_window": Executor(self.hold),
            "power.extend_window": Executor(self.extend),
            "power.apply_policy": Executor(self.apply_policy),
            "service.stop": Executor(self.stop),
            "service.restart": Executor(self.restart),
        }

    async def state(self, order: Order) -> Result:
        """Policy, windows and services."""
        state = await self._power.windows.state()
        return {
            "policy": state.policy,
            "active_services": state.active_services,
            "services": {service.name: service.state for service in state.services},
            "windows": [_shown(window) for window in state.windows],
        }

    async def close(self, order: Order) -> Result:
        """Close a window, or those that hold the services named."""
        closed = [
            await self._power.windows.close(WindowClose(window_id=window_id), order.caller)
            for window_id in await self._aims(order, order.told(CloseWindow))
        ]
        return {**_shown(closed[0]), "windows": [window.window_id for window in closed]}

    async def hold(self, order: Order) -> Result:
        """Take a window's deadline away, or give it one again."""
        told = order.told(HoldWindow)
        held = [
            await self._power.windows.hold(WindowHold(window_id=window_id, hold=told.hold), order.caller)
            for window_id in await self._aims(order, told)
        ]
        return _shown(held[0])

    async def extend(self, order: Order) -> Result:
        """Move a window's deadline: to so long from now, or so much later than it is."""
        told = order.told(ExtendWindow)
        aims = await self._aims(order, told)
        if told.by_sec is not None:
            later = await self._later(order, aims, timedelta(seconds=told.by_sec))
            extended = [await self._power.windows.move(aim, later[aim], order.caller) for aim in aims]
        else:
            bodies = [WindowExtend(window_id=aim, ttl_sec=told.ttl_sec or 0) for aim in aims]
            extended = [await self._power.windows.extend(body, order.caller) for body in bodies]
        return _shown(extended[0])

    async def apply_policy(self, order: Order) -> Result:
        """Put a policy in force."""
        status = await self._power.policies.apply(order.told(ApplyPolicy).policy, order.caller)
        return {"policy": status.policy, "active": status.active, CHANGED: status.applied}

    async def stop(self, order: Order) -> Result:
        """Stop one service."""
        return await self._controlled(order, "stop")

    async def restart(self, order: Order) -> Result:
        """Restart one service; one that was restarted before madre was cut short is not restarted again."""
        life = self._reconciler.known[order.told(OneService).service]
        if "instance" not in order.noted:
            await order.note(instance=life.instance)
        elif life.is_up and life.instance != order.noted["instance"]:
            return {"service": order.told(OneService).service, "state": life.state}
        return await self._controlled(order, "restart")

    async def _controlled(self, order: Order, verb: Verb) -> Result:
        told = order.told(OneService)
        body = ServiceControl(apply=True, reason=told.reason)
        done = await self._power.control.control(told.service, verb, body, order.caller)
        if verb == "restart" and done.exec and done.exec.rc:
            raise StartFailed(f"{told.service} would not come up again: {done.exec.output}")
        return {"service": done.service, "done": done.plan, "output": done.exec.output if done.exec else ""}

    async def _aims(self, order: Order, told: CloseWindow) -> list[str]:
        """The windows that are meant, found out once: after a death others may be open."""
        if "windows" not in order.noted:
            among = [] if told.window_id else await self._house.db.reading(_may_be_meant, order)
            await order.note(windows=[told.window_id] if told.window_id else _meant(among, told.services))
        windows: list[str] = order.noted["windows"]
        return windows

    async def _later(self, order: Order, aims: list[str], by: timedelta) -> dict[str, datetime]:
        """The new deadlines, reckoned once: after a death a window may have been moved already."""
        if "until" not in order.noted:
            now = self._house.clock.now()
            ends = {window.window_id: max(window.deadline, now) for window in await self._live()}
            await order.note(until={aim: (ends.get(aim, now) + by).isoformat() for aim in aims})
        return {aim: datetime.fromisoformat(until) for aim, until in order.noted["until"].items()}

    async def _live(self) -> list[Window]:
        return await self._house.db.reading(_live)


def _live(session: Session) -> list[Window]:
    return asked(store.live_windows(session))


def _may_be_meant(session: Session, order: Order) -> list[Window]:
    """The windows among which a plan that names none may choose: its user's own, and those that it was judged by.

    It was let run with the latter in sight. What somebody else opened since, be it until tomorrow at eight, nobody
    weighed.
    """
    plan = plans.plan(session, order.plan_id)
    seen = plan.observed if plan else {}
    return [window for window in _live(session) if window.opened_by == order.caller.user or was_there(window, seen)]


def _meant(live: list[Window], services: tuple[str, ...]) -> list[str]:
    """Those of exactly these services, else those that hold them among others; none named: the one that ends last."""
    if not services:
        last = ends_last(live)
        found = [] if last is None else [last]
    else:
        wanted = set(services)
        found = [window for window in live if set(window.services) == wanted]
        found = found or [window for window in live if wanted <= set(window.services)]
    if not found:
        where = f" on {', '.join(services)}" if services else ""
        raise NotFound(f"No window is open{where}; one that somebody else opened meanwhile is meant only by its id.")
    return [window.window_id for window in found]


def _shown(window: ShownWindow) -> dict[str, Any]:
    return window.model_dump(mode="json", include={"window_id", "services", "mode", "state", "deadline"})
