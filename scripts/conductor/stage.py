"""What the phases share: doors to the fleet, what was found on the way, and leaving everything as it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from config.contracts.power import PowerState, Window, WindowClose
from config.contracts.status import FleetStatus
from config.services import CORE
from scripts.cli.door import Door
from scripts.cli.failure import CommandFailed

T = TypeVar("T")
WOKEN = "wake"  # who opened a window that a request woke a service with
_BUSY_WITHIN_SEC = 15.0
_LOOK_EVERY_SEC = 0.25


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that was done or found, as the evidence keeps it."""

    what: str
    facts: Mapping[str, Any]


@dataclass(slots=True)
class Stage:
    """The fleet under test. `beside(name)` opens a door to one service by its own port."""

    door: Door
    beside: Callable[[str], AbstractContextManager[Door]]
    wanted: tuple[str, ...] = ()
    notes: list[Note] = field(default_factory=list)
    window: Window | None = None
    restores_full: bool = False
    memory_awake_mb: float = 0.0

    def note(self, what: str, **facts: Any) -> None:
        """Keep `what` was done or found, with its facts."""
        self.notes.append(Note(what, facts))

    def sleepers(self) -> tuple[str, ...]:
        """The services this run is about: those asked for, else every one that is present and can sleep."""
        there = [one.name for one in self.door.power().services if one.state != "absent" and one.name not in CORE]
        missing = [name for name in self.wanted if name not in there]
        if missing:
            raise CommandFailed(f"Not in this build, or it never sleeps: {', '.join(missing)}.")
        return self.wanted or tuple(there)

    @property
    def opened(self) -> Window:
        """The window of this run; CommandFailed where none was opened."""
        if self.window is None:
            raise CommandFailed("No window was opened.")
        return self.window

    def settled_status(self) -> FleetStatus:
        """The status; asked for again for a while where a part of the fleet was too busy to answer the gateway."""
        return until(self.door.status, lambda status: not status.degraded, _BUSY_WITHIN_SEC)

    def close_woken(self) -> int:
        """Close the windows that requests opened, so that only what somebody asked for is left; how many."""
        woken = [window for window in self.door.power().windows if window.opened_by == WOKEN]
        for window in woken:
            self.door.close_window(WindowClose(window_id=window.window_id))
        return len(woken)

    def tidy(self) -> None:
        """Leave the fleet as it was found: no window of ours, the policy that was in force."""
        if self.window is not None:
            self.door.close_window(WindowClose(window_id=self.window.window_id))
            self.close_woken()
        if self.restores_full:
            self.door.apply_policy("full")


def state_of(power: PowerState, service: str) -> str:
    """How power sees one service."""
    return next(one.state for one in power.services if one.name == service)


def must(holds: bool, sentence: str, remedy: str = "") -> None:
    """CommandFailed with `sentence` unless `holds`."""
    if not holds:
        raise CommandFailed(sentence, remedy)


def until(look: Callable[[], T], holds: Callable[[T], bool], within_sec: float) -> T:
    """What `look` shows once `holds` is true of it, or when the time is over: the caller judges."""
    give_up = time.monotonic() + within_sec
    while not holds(seen := look()) and time.monotonic() < give_up:
        time.sleep(_LOOK_EVERY_SEC)
    return seen
