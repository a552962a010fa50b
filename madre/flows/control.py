"""Single services by hand. Starting one is holding it; stopping one is letting go of that hold.

What a policy or a window holds would come straight back, so stopping it is refused, with what holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from sqlalchemy.orm import Session

from config import audit
from config.app import House
from config.auth import Caller
from config.contracts.base import Page
from config.contracts.power import DriverRun, ServiceControl, ServiceControlResult, ServiceLimits
from config.errors import Conflict, ControlDisabled, ServiceAbsent
from config.services import CORE, FLEET, is_present, service_named
from config.settings import Settings
from madre import windows
from madre.clients import Watched
from madre.desired import desired
from madre.flows.leasing import Leasing
from madre.flows.reconciler import Known, Reconciler
from madre.store import power as store
from madre.windows import Lease

Verb = Literal["start", "stop", "restart"]
_BY_HAND = "control"
_WAIT_SEC = 60.0


class Control:
    """Start, stop and restart; and what there is to act on."""

    def __init__(self, house: House, reconciler: Reconciler, leasing: Leasing) -> None:
        self._house = house
        self._reconciler = reconciler
        self._leasing = leasing
        self._watched = Watched(house.clients)

    def services(self) -> Page[ServiceLimits]:
        """Every service of the table with its limits."""
        return Page(
            items=[
                ServiceLimits(
                    name=service.name,
                    port=self._house.settings.port_of(service.name),
                    memory_mb=service.memory_mb,
                    sleeps=service.sleeps,
                    present=is_present(service),
                )
                for service in FLEET.values()
            ]
        )

    async def control(self, name: str, verb: Verb, body: ServiceControl, caller: Caller) -> ServiceControlResult:
        """Say what `verb` would do to the service, and do it if `body.apply`."""
        must_be_allowed(name, verb, self._house.settings)
        life = self._reconciler.known[name]
        plan = _plan(name, verb, life.is_up)
        if not body.apply:
            return ServiceControlResult(service=name, act=verb, applied=False, plan=plan)
        began = self._house.clock.monotonic()
        if name in CORE:
            return ServiceControlResult(service=name, act=verb, applied=True, plan=plan, exec=self._run(name, began))
        if verb == "start":
            await self._start(name, body.reason, caller)
        elif verb == "stop":
            await self._stop(name, caller)
        else:
            await self._restart(name, body.reason, caller)
        run = self._run(name, began)
        return ServiceControlResult(service=name, act=verb, applied=True, plan=plan, exec=run)

    async def _start(self, name: str, reason: str, caller: Caller) -> None:
        lease = Lease(
            services=(name,),
            mode="hold",
            ttl_sec=self._house.settings.power.wake_ttl_sec,
            cap_sec=self._house.settings.power.window_max_sec,
            opened_by=_BY_HAND,
            reason=reason,
            origin="control",
        )
        self._reconciler.forgive([name])
        await self._house.db.writing(self._leasing.take, lease, caller)
        await self._until(name, lambda known: known[name].state == "ready" or known[name].is_hopeless)

    async def _stop(self, name: str, caller: Caller) -> None:
        await self._house.db.writing(self._let_go, name, caller)
        await self._until(
            name, lambda known: known[name].state in ("asleep", "failed") or name in self._reconciler.left_alone
        )

    async def _restart(self, name: str, reason: str, caller: Caller) -> None:
        """Stop the process; what holds the service brings it back."""
        before = self._reconciler.known[name]
        if not before.is_up:
            raise Conflict(f"{name} does not run.", hint=f"POST /madre/power/service/{name}/start")
        if await self._watched.work_in_progress(name):
            raise Conflict(f"{name} is at work.", retry_after_sec=5)
        await self._house.db.writing(self._note_restart, name, reason, caller)
        tick = self._reconciler.nudge(restart=[name])
        await self._reconciler.until(
            lambda known: known[name].instance != before.instance and known[name].state in ("ready", "failed"),
            tick=tick,
            within_sec=_WAIT_SEC,
        )

    def _note_restart(self, session: Session, name: str, reason: str, caller: Caller) -> None:
        now = self._house.clock.now()
        audit.append(session, caller, "power.service.restart", name, {"reason": reason}, now=now, service="madre")

    def _let_go(self, session: Session, name: str, caller: Caller) -> None:
        live = store.live_windows(session)
        by_hand = [window for window in live if window.origin == "control" and name in window.services]
        others = [window for window in live if window not in by_hand]
        if reasons := desired(self._leasing.policy(session), others, [name]).get(name):
            raise Conflict(
                f"{name} is held by {', '.join(reasons)}; stopped, it would come straight back.",
                hint='POST /madre/power/window/close {"window_id": …} first.',
            )
        for window in by_hand:
            after = windows.closing(window, f"stopped by {caller.user}")
            if after != window:
                self._leasing.changed(session, after, caller, "power.window.close")

    async def _until(self, name: str, holds: Callable[[Known], bool]) -> None:
        tick = self._reconciler.nudge()
        await self._reconciler.until(holds, tick=tick, within_sec=_WAIT_SEC)

    def _run(self, name: str, began: float) -> DriverRun:
        driver, life = self._reconciler.driver, self._reconciler.known[name]
        simulated = "simulated: true\n" if driver.simulated else ""
        busy = ", at work: it stops when it is idle" if name in self._reconciler.left_alone else ""
        elapsed_ms = round((self._house.clock.monotonic() - began) * 1000, 3)
        rc = 1 if life.state == "failed" else 0
        output = f"{simulated}{name} {life.state}{busy}"
        return DriverRun(driver=driver.name, rc=rc, elapsed_ms=elapsed_ms, output=output)


def must_be_allowed(name: str, verb: Verb, settings: Settings) -> None:
    """ControlDisabled, ServiceAbsent or Conflict where this house never does that to that service."""
    service = service_named(name)
    if not settings.allow_service_control:
        raise ControlDisabled("Single services are not controlled here.", hint="Set VX11_ALLOW_SERVICE_CONTROL=1.")
    if not is_present(service):
        raise ServiceAbsent(f"This build of VX11 does not hold {name}.")
    if name in CORE and verb != "start":
        raise Conflict(f"{name} is core: it is never stopped.", hint="`./vx11 down` stops the whole fleet.")


def _plan(name: str, verb: Verb, is_up: bool) -> list[str]:
    if name in CORE:
        return [f"{name} is core and up already: nothing to do"]
    if verb == "start":
        hold = f"open a window in mode hold on {name}"
        return [hold, f"{name} runs already"] if is_up else [hold, f"start {name}"]
    if verb == "stop":
        close = f"close the hold on {name}, if there is one"
        return [close, f"stop {name} once it is idle"] if is_up else [close, f"{name} does not run"]
    return [f"stop {name} if it is idle", f"what holds {name} starts it again"]
