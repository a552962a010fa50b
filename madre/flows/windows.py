"""Windows as people and scripts use them: open, close, hold, extend, list."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy.orm import Session

from config import deadline
from config.app import House
from config.auth import Caller
from config.contracts import power
from config.contracts.base import Page
from config.contracts.power import DriverRun, PowerState, WindowClose, WindowExtend, WindowHold, WindowOpen
from config.errors import Invalid, NotFound, OffByPolicy, StartFailed
from config.paging import cut, decode_cursor
from config.services import CORE, FLEET, is_present
from madre import shown, windows
from madre.desired import desired
from madre.flows.gauges import Gauges
from madre.flows.leasing import Leasing
from madre.flows.reconciler import Known, Reconciler
from madre.store import power as store
from madre.windows import Lease, Window
from madre.world import asked

_CLOSE_WAIT_SEC = 8.0
_STILL_OPENING = 124  # what `timeout(1)` ends with


class Windows:
    """The use cases of a window."""

    def __init__(self, house: House, reconciler: Reconciler, leasing: Leasing, gauges: Gauges) -> None:
        self._house = house
        self._gauges = gauges
        self._reconciler = reconciler
        self._leasing = leasing

    async def state(self) -> PowerState:
        """Policy, windows and services as they are now."""
        policy, live = await self._house.db.reading(self._policy_and_windows)
        figures = await self._gauges.fresh()
        return shown.state(policy, live, self._reconciler.known, figures, self._house.clock.now())

    async def page(self, limit: int, cursor: str | None) -> Page[power.Window]:
        """Windows live and past, newest first."""
        rows = await self._house.db.reading(store.windows_before, decode_cursor(cursor), limit + 1)
        page, following = cut(rows, limit, lambda window: (window.created_at, window.window_id))
        now = self._house.clock.now()
        return Page(items=[shown.window(window, now) for window in page], next_cursor=following)

    async def open(self, body: WindowOpen, caller: Caller) -> power.Window:
        """Open a window, or extend the one that is the same; waits for its services unless told not to.

        StartFailed once a service would not come up and what was started for the window is down again.
        """
        self._must_be_enabled()
        _must_be_allowed(body.services)
        began = self._house.clock.monotonic()
        self._reconciler.forgive(body.services)
        window = await self._house.db.writing(self._leasing.take, self._lease(body, caller), caller)
        tick = self._reconciler.nudge()
        if not body.wait:
            return self._answer(window, began, 0, "not waited for")
        await self._reconciler.until(_settled(window, body.skip_health), tick=tick, within_sec=self._patience_sec())
        return await self._outcome(window, began, body.skip_health)

    async def close(self, body: WindowClose, caller: Caller) -> power.Window:
        """Close a window; what it alone held goes to sleep once it is idle. Closing it again changes nothing."""
        began = self._house.clock.monotonic()
        window = await self._house.db.writing(self._closing, body.window_id, caller)
        if window.is_over:
            return shown.window(window, self._house.clock.now())
        tick = self._reconciler.nudge()
        await self._reconciler.until(
            lambda _known: (
                window.window_id not in self._reconciler.live
                or bool(self._reconciler.left_alone.intersection(window.services))
            ),
            tick=tick,
            within_sec=deadline.within(_CLOSE_WAIT_SEC),
        )
        window = await self._house.db.reading(_stored, window.window_id)
        return self._answer(window, began, 0, _told(self._reconciler.known, window))

    async def hold(self, body: WindowHold, caller: Caller) -> power.Window:
        """Take a window's deadline away, or give it one again."""
        cap_sec = self._house.settings.power.window_max_sec

        def held(window: Window) -> Window:
            return windows.held(window, body.hold, self._house.clock.now(), cap_sec)

        return await self._change(body.window_id, held, caller, "power.window.hold")

    async def extend(self, body: WindowExtend, caller: Caller) -> power.Window:
        """Move a window's deadline."""

        def extended(window: Window) -> Window:
            return windows.extended(window, body.ttl_sec, self._house.clock.now())

        return await self._change(body.window_id, extended, caller, "power.window.extend")

    async def move(self, window_id: str, deadline: datetime, caller: Caller) -> power.Window:
        """Move a window's deadline to a moment; doing so twice is doing so once."""
        return await self._change(
            window_id, lambda window: windows.moved(window, deadline), caller, "power.window.extend"
        )

    async def _change(
        self, window_id: str, change: Callable[[Window], Window], caller: Caller, action: str
    ) -> power.Window:
        def write(session: Session) -> Window:
            return self._leasing.changed(session, change(_stored(session, window_id)), caller, action)

        window = await self._house.db.writing(write)
        self._reconciler.nudge()
        return shown.window(window, self._house.clock.now())

    async def _outcome(self, window: Window, began: float, skip_health: bool) -> power.Window:
        window = await self._house.db.reading(_stored, window.window_id)
        if window.state == "error":
            await self._rolled_back(window)
            raise StartFailed(
                f"Window {window.window_id}: {window.close_reason}",
                hint="`./vx11 doctor` looks for causes; the service's whole log is in the data folder, under logs.",
            )
        is_there = skip_health or window.state != "opening"
        told = _told(self._reconciler.known, window)
        return self._answer(window, began, 0 if is_there else _STILL_OPENING, told)

    async def _rolled_back(self, window: Window) -> None:
        let_go = await self._released(window)
        await self._reconciler.until(
            lambda known: all(not known[name].is_up and known[name].state != "stopping" for name in let_go),
            tick=self._reconciler.nudge(),
            within_sec=_CLOSE_WAIT_SEC,
        )

    async def _released(self, window: Window) -> list[str]:
        """The services of `window` that nothing else holds."""
        policy, live = await self._house.db.reading(self._policy_and_windows)
        known = self._reconciler.known
        reasons = desired(policy, live, known)
        return [name for name in window.services if name in known and name not in reasons]

    def _closing(self, session: Session, window_id: str | None, caller: Caller) -> Window:
        if window_id is None:
            last = windows.ends_last(asked(store.live_windows(session)))  # the lease of a request is nobody's to close
            if last is None:
                raise NotFound("No window is open.")
            window_id = last.window_id
        window = _stored(session, window_id)
        after = windows.closing(window, f"closed by {caller.user}")
        return window if after == window else self._leasing.changed(session, after, caller, "power.window.close")

    def _policy_and_windows(self, session: Session) -> tuple[power.Policy, list[Window]]:
        return self._leasing.policy(session), store.live_windows(session)

    def _lease(self, body: WindowOpen, caller: Caller) -> Lease:
        return Lease(
            services=tuple(body.services),
            mode=body.mode,
            ttl_sec=body.ttl_sec,
            cap_sec=self._house.settings.power.window_max_sec,
            opened_by=caller.user,
            reason=body.reason,
            origin="asked",
        )

    def _must_be_enabled(self) -> None:
        if not self._house.settings.power.windows_enabled:
            raise OffByPolicy("Power windows are switched off.", hint="Set VX11_POWER_WINDOWS_ENABLED=1.")

    def _patience_sec(self) -> float:
        """Two tries of a service, and what stopping it in between takes."""
        return deadline.within(2 * self._house.settings.power.windows_timeout_sec + _CLOSE_WAIT_SEC)

    def _answer(self, window: Window, began: float, rc: int, output: str) -> power.Window:
        driver = self._reconciler.driver
        said = f"simulated: true\n{output}" if driver.simulated else output
        elapsed_ms = round((self._house.clock.monotonic() - began) * 1000, 3)
        run = DriverRun(driver=driver.name, rc=rc, elapsed_ms=elapsed_ms, output=said)
        return shown.window(window, self._house.clock.now(), run)


def _must_be_allowed(services: list[str]) -> None:
    """Invalid, naming each one, where a service is unknown, never sleeps, or is absent from this build."""
    wrong = {name: reason for name in services if (reason := _why_not(name))}
    if wrong:
        errors = [{"field": f"services.{services.index(name)}", "message": why} for name, why in wrong.items()]
        listed = "; ".join(f"{name}: {why}" for name, why in wrong.items())
        raise Invalid(f"A window cannot hold {listed}.", errors=errors, hint="GET /madre/power/services lists them.")


def _why_not(name: str) -> str | None:
    if name not in FLEET:
        return "unknown service"
    if name in CORE:
        return "it never sleeps"
    return None if is_present(FLEET[name]) else "absent from this build"


def _settled(window: Window, skip_health: bool) -> Callable[[Known], bool]:
    """Whether all services of `window` are there, or one of them cannot be had."""

    def settled(known: Known) -> bool:
        lives = [known[name] for name in window.services]
        if any(life.is_hopeless for life in lives):
            return True
        return all(life.is_up if skip_health else life.state == "ready" for life in lives)

    return settled


def _told(known: Known, window: Window) -> str:
    return "\n".join(f"{name} {known[name].state}" for name in window.services if name in known)


def _stored(session: Session, window_id: str) -> Window:
    window = store.window(session, window_id)
    if window is None:
        raise NotFound(f"There is no window {window_id!r}.", hint="GET /madre/power/windows lists them.")
    return window
