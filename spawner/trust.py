"""Whose tasks a cage is strong enough for. Pure.

Asked twice: of whoever spawns or executes a job, who is told at once, and when a try begins. Between the two the
machine's cage may have become another, since it is found out anew at each start.
"""

from __future__ import annotations

from typing import Final

from config.auth import Role
from spawner.cage import Level, Promise

_KEEPS_SECRETS: Final = frozenset({Promise.READING, Promise.WRITING, Promise.PEEKING, Promise.SIGNALS})
_TRUSTED: Final = (Role.ADMIN, Role.SYSTEM)


def why_not(role: Role, level: Level, *, weak_isolation: bool) -> str | None:
    """Why nobody with this role may have a task run on this level; None: they may."""
    weak = _KEEPS_SECRETS & set(level.open_promises)
    if not weak or weak_isolation or role in _TRUSTED:
        return None
    return f"Daughters cannot be kept from the fleet's files here (open: {', '.join(sorted(weak))})."
