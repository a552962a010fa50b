"""What to do about the difference between what should be up and what is. Pure, and the whole policy of acting."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from config.services import CORE
from madre.desired import Reasons
from madre.lives import Life


@dataclass(frozen=True, slots=True)
class Act:
    """One thing to do to one service, and why. `leave` is said where it should stop but is at work."""

    kind: Literal["start", "stop", "leave"]
    service: str
    reason: str


def acts(
    desired: Reasons, lives: Mapping[str, Life], busy: Set[str], now: datetime, *, core_mode: bool = False
) -> list[Act]:
    """Start what should be up and may be tried, stop what should not and is idle.

    The core is never stopped, and started only in `core_mode`: else that is left to what started the fleet.
    """
    found = []
    for service, life in lives.items():
        if service in CORE and not core_mode:
            continue
        if service in desired:
            if life.may_start(now):
                found.append(Act("start", service, "held by " + ", ".join(desired[service])))
        elif life.is_up:
            found.append(_let_go(service, service in busy))
    return found


def surplus(desired: Reasons, lives: Mapping[str, Life]) -> list[str]:
    """The services that run although nothing holds them: those whose work must be asked for."""
    return [name for name, life in lives.items() if name not in CORE and name not in desired and life.is_up]


def _let_go(service: str, is_busy: bool) -> Act:
    if is_busy:
        return Act("leave", service, "nothing holds it, but it is at work")
    return Act("stop", service, "nothing holds it")
