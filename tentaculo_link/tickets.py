"""Single-use passes to the event stream, for browsers, which cannot set a header there.

Kept in memory: a ticket lives 60 s, so a restart of the door costs a browser one more call.
"""

from __future__ import annotations

import hashlib
import secrets

from config.auth import Caller

TICKET_LIFE_SEC = 60
_MAX_TICKETS = 1024


class Tickets:
    """Issues tickets and takes each back once. Pure but for the random numbers; told the time."""

    def __init__(self) -> None:
        self._issued: dict[str, tuple[float, Caller]] = {}

    def issue(self, caller: Caller, now: float) -> str:
        """A fresh ticket that stands for `caller`; only its hash is kept."""
        self._issued = {digest: entry for digest, entry in self._issued.items() if entry[0] > now}
        if len(self._issued) >= _MAX_TICKETS:
            self._issued.pop(next(iter(self._issued)))
        ticket = secrets.token_urlsafe(24)
        self._issued[_digest(ticket)] = (now + TICKET_LIFE_SEC, caller)
        return ticket

    def redeem(self, ticket: str, now: float) -> Caller | None:
        """The caller behind `ticket`, once; None for a used, expired or invented one."""
        ends_at, caller = self._issued.pop(_digest(ticket), (0.0, None))
        return caller if ends_at > now else None


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()
