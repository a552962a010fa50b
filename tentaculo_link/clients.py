"""The rooms the door calls, one function a verb."""

from __future__ import annotations

from urllib.parse import quote

from config.auth import Caller
from config.clients import Clients, Timeout
from config.contracts.asking import IntentAnswer, IntentOrder
from config.contracts.power import PowerState, Wake, WakeAnswer, Window, WindowClose, WindowOpen
from config.contracts.serving import QueueStatus
from config.contracts.spawning import JobDetail, Spawned, SpawnOrder


class Madre:
    """Madre, as the door knows her."""

    def __init__(self, clients: Clients) -> None:
        self._peer = clients.peer("madre")

    async def wake(self, service: str, wait_sec: float) -> WakeAnswer:
        """Have `service` up; waits until it is ready, or raises why it will not be."""
        body = Wake(service=service, wait_sec=wait_sec)
        return await self._peer.post("/madre/power/wake", body, answer=WakeAnswer, timeout=Timeout.SLOW)

    async def power_state(self) -> PowerState:
        """Policy, windows and services as the reconciler sees them."""
        return await self._peer.get("/madre/power/state", answer=PowerState, timeout=Timeout.QUICK)

    async def open_window(self, body: WindowOpen, caller: Caller) -> Window:
        """Open a window for `caller`."""
        path = "/madre/power/window/open"
        return await self._peer.post(path, body, answer=Window, on_behalf=caller, timeout=Timeout.SLOW)

    async def close_window(self, body: WindowClose, caller: Caller) -> Window:
        """Close a window for `caller`."""
        path = "/madre/power/window/close"
        return await self._peer.post(path, body, answer=Window, on_behalf=caller, timeout=Timeout.SLOW)

    async def ask(self, order: IntentOrder, caller: Caller) -> IntentAnswer:
        """Have an intent read, planned or answered for `caller`."""
        return await self._peer.post(
            "/madre/intent", order, answer=IntentAnswer, on_behalf=caller, timeout=Timeout.SLOW
        )

    async def result(self, correlation_id: str, caller: Caller) -> IntentAnswer:
        """How an intent stands; NotFound where it is not the caller's to see."""
        path = f"/madre/intent/{quote(correlation_id, safe='')}"
        return await self._peer.get(path, answer=IntentAnswer, on_behalf=caller)


class Switch:
    """Switch, as the door knows it."""

    def __init__(self, clients: Clients) -> None:
        self._peer = clients.peer("switch")

    async def queue(self) -> QueueStatus:
        """How much is being served and how much waits; ask only while it is awake."""
        return await self._peer.get("/switch/queue/status", answer=QueueStatus, timeout=Timeout.QUICK)


class Spawner:
    """Spawner, as the door knows it."""

    def __init__(self, clients: Clients) -> None:
        self._peer = clients.peer("spawner")

    async def spawn(self, body: SpawnOrder, caller: Caller, key: str | None) -> Spawned:
        """Have a daughter task run for `caller`; once, however often it is asked for with the same key."""
        return await self._peer.post("/spawner/spawn", body, answer=Spawned, on_behalf=caller, key=key)

    async def job(self, spawn_id: str, caller: Caller) -> JobDetail:
        """A daughter as it really stands; NotFound where it is not the caller's to see."""
        return await self._peer.get(f"/spawner/jobs/{spawn_id}", answer=JobDetail, on_behalf=caller)
