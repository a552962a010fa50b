"""Windows that plans open by themselves: what a step needs awake is held for it, and let go when no step needs it.

Such a window belongs to its plan by name, so that a plan which was cut short finds it again; it has a deadline, which
is moved while the step runs, so that one whose plan never comes back ends by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

from sqlalchemy.orm import Session

from config.app import House, every
from config.auth import Caller
from config.errors import OffByPolicy, ServiceAbsent, StartFailed, Waking
from config.services import CORE
from madre import windows
from madre.flows.leasing import Leasing
from madre.flows.reconciler import Reconciler
from madre.plan import Plan
from madre.store import plans, steps
from madre.store import power as store
from madre.windows import Lease

_TTL_SEC = 600.0
_RENEWED_EVERY_SEC = 120.0


class PlanWindows:
    """Holds services for steps, and lets them go."""

    def __init__(self, house: House, reconciler: Reconciler) -> None:
        self._house = house
        self._reconciler = reconciler
        self._leasing = Leasing(house)

    @asynccontextmanager
    async def awake(self, plan_id: str, services: Collection[str], caller: Caller) -> AsyncIterator[None]:
        """Have `services` ready, and held while the block runs.

        ServiceAbsent, OffByPolicy where windows are off, NotEnoughMemory, StartFailed, Waking when it takes too long.
        """
        sleepers = tuple(sorted(name for name in services if name not in CORE))
        if not sleepers:
            yield
            return
        for name in sleepers:
            if name not in self._house.present:
                raise ServiceAbsent(f"This build of VX11 does not hold {name}.")
        self._reconciler.forgive(sleepers)
        await self._hold(plan_id, sleepers, caller)
        await self._until_ready(sleepers)
        async with every(
            _RENEWED_EVERY_SEC, lambda: self._hold(plan_id, sleepers, caller), name=f"held by {plan_id}"
        )():
            yield

    def let_go(self, session: Session, plan: Plan, needed: Collection[str], caller: Caller) -> Plan:
        """The plan, without those of its windows that hold nothing of what is `needed`; they close."""
        kept: list[str] = []
        for window_id in plan.windows:
            window = store.window(session, window_id)
            if window is None or window.is_over:
                continue
            if window.holds and set(needed) & set(window.services):
                kept.append(window_id)
                continue
            after = windows.closing(window, f"plan {plan.plan_id} needs it no more")
            if after != window:
                self._leasing.changed(session, after, caller, "power.window.close")
        if tuple(kept) == plan.windows:
            return plan
        plan = replace(plan, windows=tuple(kept))
        steps.keep_windows(session, plan, self._house.clock.now())
        return plan

    async def _hold(self, plan_id: str, services: tuple[str, ...], caller: Caller) -> None:
        await self._house.db.writing(self._take, plan_id, services, caller)
        self._reconciler.nudge()

    def _take(self, session: Session, plan_id: str, services: tuple[str, ...], caller: Caller) -> None:
        if self._leasing.policy(session) == "full":
            return
        if not self._house.settings.power.windows_enabled:
            self._must_be_held(session, services)
            return
        lease = self._lease(plan_id, services)
        there = windows.same_as(lease, store.live_windows(session))
        if there is not None:  # moving its deadline is nothing that anybody wants to read about
            store.keep_window(session, windows.renewed(there, _TTL_SEC, self._house.clock.now()))
            return
        window = self._leasing.take(session, lease, caller)
        plan = plans.plan(session, plan_id)
        if plan is not None:
            opened = replace(plan, windows=(*plan.windows, window.window_id))
            steps.keep_windows(session, opened, self._house.clock.now())

    def _must_be_held(self, session: Session, services: Iterable[str]) -> None:
        """OffByPolicy unless somebody else's window holds every one of them."""
        held = {name for window in store.live_windows(session) if window.holds for name in window.services}
        missing = [name for name in services if name not in held]
        if missing:
            raise OffByPolicy(f"{', '.join(missing)} sleeps, and windows are off.", hint="VX11_POWER_WINDOWS_ENABLED=1")

    def _lease(self, plan_id: str, services: tuple[str, ...]) -> Lease:
        return Lease(
            services=services,
            mode="ttl",
            ttl_sec=_TTL_SEC,
            cap_sec=self._house.settings.power.window_max_sec,
            opened_by=f"plan:{plan_id}",
            reason="a step of a plan needs it",
            origin="asked",
        )

    async def _until_ready(self, services: tuple[str, ...]) -> None:
        patience_sec = 2 * self._house.settings.power.windows_timeout_sec
        is_settled = await self._reconciler.until(
            lambda known: (
                any(known[name].is_hopeless for name in services)
                or all(known[name].state == "ready" for name in services)
            ),
            tick=self._reconciler.nudge(),
            within_sec=patience_sec,
        )
        known = self._reconciler.known
        hopeless = [name for name in services if known[name].is_hopeless]
        if hopeless:
            said = await asyncio.gather(*map(self._reconciler.driver.last_words, hopeless))
            raise StartFailed(f"{', '.join(hopeless)} would not stay up.\n{' '.join(said)}".strip())
        if not is_settled:
            raise Waking(f"{', '.join(services)} did not come up within {patience_sec:g} s.", retry_after_sec=1)
