"""What madre asks the services she watches; nobody is woken or held by being asked."""

from __future__ import annotations

from config.clients import Clients
from config.contracts.health import Health, Readiness


class Watched:
    """The services, as the reconciler sees them over HTTP."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def is_ready(self, service: str) -> bool:
        """Whether `service` says it can do its job; another one in its place cannot."""
        answer = await self._clients.peer(service).vital("/ready", answer=Readiness)
        return answer is not None and answer.ready and answer.module == service

    async def work_in_progress(self, service: str) -> int | None:
        """Pieces of work `service` is in the middle of; None when it does not say."""
        answer = await self._clients.peer(service).vital("/health", answer=Health)
        return None if answer is None else int(answer.checks.get("work_in_progress", 0))

    async def exposition(self, service: str) -> str | None:
        """What `service` counts of itself, as Prometheus text; None when it does not say."""
        return await self._clients.peer(service).exposition()
