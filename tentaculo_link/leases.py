"""Which services the door knows to be awake, and for how long.

Asking madre before every request would cost a hop. Her answer carries a lease; while it lasts the door
goes straight through, and in its second half one request renews it on the side. Pure; told the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class Knowledge(Enum):
    """What the door knows of a service."""

    AWAKE = auto()
    """Go straight through."""
    RENEW = auto()
    """Go through, and renew the lease on the side; said to one request only."""
    UNKNOWN = auto()
    """Ask madre first."""


@dataclass(slots=True)
class _Lease:
    renew_at: float
    ends_at: float


class Leases:
    """The leases of all services, by name."""

    def __init__(self) -> None:
        self._leases: dict[str, _Lease] = {}

    def granted(self, service: str, lease_sec: float, now: float) -> None:
        """Madre says that `service` stays up for `lease_sec` more."""
        self._leases[service] = _Lease(now + lease_sec / 2, now + lease_sec)

    def ended(self, service: str) -> None:
        """The service did not answer: whatever was known of it is void."""
        self._leases.pop(service, None)

    def knowledge(self, service: str, now: float) -> Knowledge:
        """What to do for a request to `service` now."""
        lease = self._leases.get(service)
        if lease is None or now >= lease.ends_at:
            return Knowledge.UNKNOWN
        if now < lease.renew_at:
            return Knowledge.AWAKE
        lease.renew_at = lease.ends_at
        return Knowledge.RENEW
