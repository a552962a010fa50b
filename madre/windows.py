"""A power window: a lease on a set of services, from its opening to whatever ended it.

      (a) new ──▶ opening ──(b)──▶ open ──(d)──▶ closing ──(e)──▶ closed
                     │              │
                     ├──(c)──▶ error ◀──(c)──┤
                     └──(f)──▶ expired ◀──(f)┘

(a) somebody asked; (b) every service of it is ready, and its time begins; (c) one would not come up, or kept
dying; (d) somebody closed it; (e) no service is up any more that it alone held; (f) its deadline passed. A window
holds its services while it is opening or open. Pure; every function is given the time and returns a new window, or
the same one where there is nothing to change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from config.contracts.power import WindowMode, WindowState
from config.errors import Conflict

Origin = Literal["asked", "wake", "control"]
HOLDING: frozenset[WindowState] = frozenset({"opening", "open"})
OVER: frozenset[WindowState] = frozenset({"closed", "expired", "error"})


@dataclass(frozen=True, slots=True)
class Window:
    """One window. `origin` says which door it came through: asked for, a request that woke a service, control.

    In mode `hold` the deadline does not count. No deadline lies after `max_deadline`.
    """

    window_id: str
    services: tuple[str, ...]
    mode: WindowMode
    state: WindowState
    opened_by: str
    reason: str
    origin: Origin
    ttl_sec: float
    created_at: datetime
    opened_at: datetime | None
    deadline: datetime
    max_deadline: datetime
    closed_at: datetime | None = None
    close_reason: str | None = None

    @property
    def holds(self) -> bool:
        """Whether its services are up because of it."""
        return self.state in HOLDING

    @property
    def is_over(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.state in OVER


@dataclass(frozen=True, slots=True)
class Lease:
    """What somebody asks for when opening a window; `cap_sec` bounds the window's life."""

    services: tuple[str, ...]
    mode: WindowMode
    ttl_sec: float
    cap_sec: float
    opened_by: str
    reason: str
    origin: Origin


def new(window_id: str, lease: Lease, now: datetime) -> Window:
    """(a) A window that begins to open."""
    cap = now + timedelta(seconds=lease.cap_sec)
    return Window(
        window_id=window_id,
        services=lease.services,
        mode=lease.mode,
        state="opening",
        opened_by=lease.opened_by,
        reason=lease.reason,
        origin=lease.origin,
        ttl_sec=lease.ttl_sec,
        created_at=now,
        opened_at=None,
        deadline=min(cap, now + timedelta(seconds=lease.ttl_sec)),
        max_deadline=cap,
    )


def same_as(lease: Lease, windows: Iterable[Window]) -> Window | None:
    """The window that asking for `lease` again means: the same set, by the same caller, through the same door."""
    wanted = (lease.services, lease.opened_by, lease.origin)
    found = (window for window in windows if (window.services, window.opened_by, window.origin) == wanted)
    return next((window for window in found if window.holds), None)


def renewed(window: Window, ttl_sec: float, now: datetime) -> Window:
    """The deadline moved to `ttl_sec` from now if that is later, under the cap; Conflict once it is over."""
    _must_hold(window, "renewed")
    later = min(window.max_deadline, now + timedelta(seconds=ttl_sec))
    return replace(window, deadline=max(window.deadline, later), ttl_sec=ttl_sec)


def extended(window: Window, ttl_sec: float, now: datetime) -> Window:
    """The deadline moved to exactly `ttl_sec` from now, under the cap; Conflict once it is over."""
    return replace(moved(window, now + timedelta(seconds=ttl_sec)), ttl_sec=ttl_sec)


def moved(window: Window, deadline: datetime) -> Window:
    """The deadline moved to exactly `deadline`, under the cap; Conflict once it is over."""
    _must_hold(window, "extended")
    return replace(window, deadline=min(window.max_deadline, deadline))


def held(window: Window, hold: bool, now: datetime, cap_sec: float) -> Window:
    """Switched to `hold`, or back to `ttl`, which starts its time and its cap anew; Conflict once it is over."""
    _must_hold(window, "held")
    if hold:
        return replace(window, mode="hold")
    if window.mode == "ttl":
        return window
    cap = now + timedelta(seconds=cap_sec)
    deadline = min(cap, now + timedelta(seconds=window.ttl_sec))
    return replace(window, mode="ttl", max_deadline=cap, deadline=deadline)


def opened(window: Window, now: datetime) -> Window:
    """(b) Every service of it is ready: its time counts from now, so that a slow start takes nothing of it."""
    if window.state != "opening":
        return window
    later = min(window.max_deadline, now + timedelta(seconds=window.ttl_sec))
    return replace(window, state="open", opened_at=now, deadline=max(window.deadline, later))


def closing(window: Window, reason: str) -> Window:
    """(d) It lets go of its services."""
    return replace(window, state="closing", close_reason=reason) if window.holds else window


def closed(window: Window, now: datetime) -> Window:
    """(e) What it alone held is down."""
    return replace(window, state="closed", closed_at=now) if window.state == "closing" else window


def failed(window: Window, reason: str, now: datetime) -> Window:
    """(c) A service of it cannot be had."""
    return replace(window, state="error", closed_at=now, close_reason=reason) if window.holds else window


def with_last_words(window: Window, said: str) -> Window:
    """The reason it failed for, followed by what the service said last."""
    return replace(window, close_reason=f"{window.close_reason}\n{said}".strip())


def expired(window: Window, now: datetime) -> Window:
    """(f) Its deadline passed."""
    return replace(window, state="expired", closed_at=now, close_reason="deadline") if window.holds else window


def is_due(window: Window, now: datetime, opening_sec: float = 0) -> bool:
    """Whether its deadline has come; while it is opening, and somebody may wait for that, so much later."""
    late = timedelta(seconds=opening_sec if window.state == "opening" else 0)
    return window.holds and window.mode == "ttl" and now >= window.deadline + late


def at_deadline(window: Window, busy: frozenset[str], now: datetime) -> Window:
    """What becomes of a window whose deadline has come: the lease of a request whose service still works slides on."""
    slides = window.origin == "wake" and busy.intersection(window.services) and now < window.max_deadline
    return renewed(window, window.ttl_sec, now) if slides else expired(window, now)


def remaining_sec(window: Window, now: datetime) -> float | None:
    """Seconds until its deadline; None where none counts."""
    if not window.holds or window.mode == "hold":
        return None
    return max(0.0, (window.deadline - now).total_seconds())


def ends_last(windows: Iterable[Window]) -> Window | None:
    """Of the windows that hold services, the one that will end last; one without a deadline ends after all others."""
    holding = [window for window in windows if window.holds]
    return max(holding, key=lambda window: (window.mode == "hold", window.deadline), default=None)


def _must_hold(window: Window, verb: str) -> None:
    if not window.holds:
        raise Conflict(f"Window {window.window_id} is {window.state}; it cannot be {verb}.", hint="Open a new one.")
