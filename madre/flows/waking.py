"""A request for a sleeping service: have it up, and keep it up while requests come."""

from __future__ import annotations

import json

from sqlalchemy.orm import Session

from config import deadline
from config.app import House
from config.auth import Caller
from config.contracts.power import Wake, WakeAnswer
from config.errors import OffByPolicy, ServiceAbsent, StartFailed, Waking
from config.services import CORE, service_named
from madre import windows
from madre.desired import desired
from madre.flows.leasing import Leasing
from madre.flows.reconciler import Reconciler
from madre.store import power as store
from madre.windows import Lease, Window

_LEASE_SHARE = 0.1  # of the time a woken service stays up: the door asks again that often, so the rest slides with use
_LEASE_MAX_SEC = 30.0
_MARGIN_SEC = 1.0
_WAKER = "wake"


class WakeFlow:
    """`ensure_ready` for the gateway."""

    def __init__(self, house: House, reconciler: Reconciler, leasing: Leasing) -> None:
        self._house = house
        self._power = house.settings.power
        self._reconciler = reconciler
        self._leasing = leasing

    async def wake(self, body: Wake, caller: Caller) -> WakeAnswer:
        """Return once `body.service` is ready; says for how long it surely stays so.

        Raises OffByPolicy where nothing holds it and waking is off, NotEnoughMemory, StartFailed where it would
        not come up, Waking where it is not up in time, ServiceAbsent.
        """
        service = service_named(body.service)
        if service.name not in self._house.present:
            raise ServiceAbsent(f"This build of VX11 does not hold {service.name}.")
        if service.name in CORE:
            return WakeAnswer(service=service.name, state="ready", lease_sec=_LEASE_MAX_SEC)
        await self._refuse_hopeless(service.name)
        lease_sec = await self._house.db.writing(self._hold, service.name, caller)
        await self._until_ready(service.name, deadline.within(body.wait_sec))
        return WakeAnswer(service=service.name, state="ready", lease_sec=round(lease_sec, 3))

    def _hold(self, session: Session, service: str, caller: Caller) -> float:
        """Hold the service for the request's sake, or find what holds it; seconds it surely stays up."""
        share_sec = min(_LEASE_MAX_SEC, self._power.wake_ttl_sec * _LEASE_SHARE)
        policy, live = self._leasing.policy(session), store.live_windows(session)
        if policy == "full":
            return share_sec
        if self._power.wake == "auto" and self._power.windows_enabled:
            window = self._leasing.take(session, self._lease(service), caller)
            return self._surely(window, share_sec)
        holding = [window for window in live if window.holds and service in window.services]
        last = windows.ends_last(holding)
        if last is None or service not in desired(policy, live, [service]):
            raise self._off(service)
        return self._surely(last, share_sec)

    def _surely(self, window: Window, share_sec: float) -> float:
        remaining = windows.remaining_sec(window, self._house.clock.now())
        if remaining is None:
            return share_sec
        return min(share_sec, max(remaining - _MARGIN_SEC, remaining * (1 - 2 * _LEASE_SHARE)))

    def _lease(self, service: str) -> Lease:
        return Lease(
            services=(service,),
            mode="ttl",
            ttl_sec=self._power.wake_ttl_sec,
            cap_sec=self._power.window_max_sec,
            opened_by=_WAKER,
            reason="woken by a request",
            origin="wake",
        )

    async def _refuse_hopeless(self, service: str) -> None:
        """A service that kept failing rests for a while: no request opens another window onto it. Then it has its
        next chance."""
        life = self._reconciler.known[service]
        if not life.is_hopeless:
            return
        if not life.may_start(self._house.clock.now()):
            raise await self._failed(service)
        self._reconciler.forgive([service])

    async def _until_ready(self, service: str, wait_sec: float) -> None:
        life = self._reconciler.known[service]
        if life.state == "ready":
            return
        tick = self._reconciler.nudge()
        is_settled = await self._reconciler.until(
            lambda known: known[service].state == "ready" or known[service].is_hopeless, tick=tick, within_sec=wait_sec
        )
        if not is_settled:
            raise Waking(f"{service} is on its way up.", retry_after_sec=1)
        if self._reconciler.known[service].state != "ready":
            raise await self._failed(service)

    async def _failed(self, service: str) -> StartFailed:
        said = await self._reconciler.driver.last_words(service)
        return StartFailed(f"{service} would not stay up.\n{said}".strip(), hint="`./vx11 doctor` looks for causes.")

    def _off(self, service: str) -> OffByPolicy:
        body = json.dumps({"services": [service], "ttl_sec": 600})
        return OffByPolicy(
            f"{service} is asleep, and requests do not wake services here.",
            hint=f"POST /madre/power/window/open {body}",
            extra={"service": service},
        )
