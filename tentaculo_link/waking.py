"""Having a service up before a request goes to it: the lease if one runs, else a call to madre.

Many requests may wait for one waking; they share the one call.
"""

from __future__ import annotations

import asyncio
import logging

from config.app import House
from config.errors import NotFound, ServiceAbsent, VX11Error
from config.services import CORE, FLEET, is_present
from tentaculo_link.clients import Madre
from tentaculo_link.leases import Knowledge, Leases

_log = logging.getLogger(__name__)


class Waking:
    """Knows who is awake, and asks madre for who is not."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._madre = Madre(house.clients)
        self._leases = Leases()
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._absent = {service.name for service in FLEET.values() if not is_present(service)}

    async def ensure(self, service: str) -> None:
        """Return once `service` can take a request; raises why it cannot."""
        if service in self._absent:
            raise ServiceAbsent(f"This build of VX11 does not hold {service}.")
        if service in CORE:
            return
        knowledge = self._leases.knowledge(service, self._house.clock.monotonic())
        if knowledge is Knowledge.AWAKE:
            return
        if knowledge is Knowledge.RENEW:
            self._ask(service).add_done_callback(_note_failure)
            return
        await asyncio.shield(self._ask(service))

    async def again(self, service: str) -> None:
        """The service did not answer in spite of its lease: forget the lease and ask."""
        self._leases.ended(service)
        await self.ensure(service)

    def _ask(self, service: str) -> asyncio.Task[None]:
        asking = self._asking.get(service)
        if asking is None:
            asking = asyncio.create_task(self._wake(service), name=f"wake {service}")
            self._asking[service] = asking
            asking.add_done_callback(lambda _: self._asking.pop(service, None))
        return asking

    async def _wake(self, service: str) -> None:
        answer = await self._madre.wake(service, self._house.settings.power.windows_timeout_sec)
        self._leases.granted(service, answer.lease_sec, self._house.clock.monotonic())


def _note_failure(asking: asyncio.Task[None]) -> None:
    """A renewal that failed costs nothing yet: the next request asks again, and tells its caller."""
    error = None if asking.cancelled() else asking.exception()
    if isinstance(error, VX11Error) and not isinstance(error, NotFound):
        _log.warning("renewing a lease failed: %s", error.detail)
