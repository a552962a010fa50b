"""The rooms that spawner calls, one function a verb."""

from __future__ import annotations

from config.auth import Caller
from config.clients import Clients, Timeout
from config.contracts.engines import SelectedEngine, SelectEngine
from config.contracts.health import Readiness
from config.contracts.power import Wake, WakeAnswer
from config.contracts.prompts import SwitchChat, SwitchChatAnswer
from config.contracts.tools import Execution, ExecutionResult
from config.contracts.weather import Fluzo


class Madre:
    """Madre, as spawner knows her."""

    def __init__(self, clients: Clients) -> None:
        self._peer = clients.peer("madre")

    async def wake(self, service: str) -> WakeAnswer:
        """Have `service` up; waits until it is ready, or raises why it will not be."""
        return await self._peer.post(
            "/madre/power/wake", Wake(service=service), answer=WakeAnswer, timeout=Timeout.SLOW
        )


class Switch:
    """Switch, as spawner knows it."""

    def __init__(self, clients: Clients) -> None:
        self._peer = clients.peer("switch")

    async def fluzo(self) -> Fluzo | None:
        """How the machine is; None while Switch sleeps, which asking does not end."""
        if await self._peer.vital("/ready", answer=Readiness) is None:
            return None
        return await self._peer.get("/switch/fluzo", answer=Fluzo, timeout=Timeout.QUICK)

    async def select(self, query: str, caller: Caller) -> SelectedEngine:
        """Who would answer a prompt now, best first."""
        path = "/switch/hermes/select_engine"
        return await self._peer.post(path, SelectEngine(query=query), answer=SelectedEngine, on_behalf=caller)

    async def chat(self, body: SwitchChat, caller: Caller) -> SwitchChatAnswer:
        """Answer a prompt on somebody's behalf."""
        return await self._peer.post(
            "/switch/chat", body, answer=SwitchChatAnswer, on_behalf=caller, timeout=Timeout.SLOW
        )


class Hermes:
    """Hermes, as spawner knows it."""

    def __init__(self, clients: Clients) -> None:
        self._peer = clients.peer("hermes")

    async def execute(self, body: Execution, caller: Caller) -> ExecutionResult:
        """Run an enabled command-line program on somebody's behalf."""
        return await self._peer.post(
            "/hermes/execute", body, answer=ExecutionResult, on_behalf=caller, timeout=Timeout.SLOW
        )
