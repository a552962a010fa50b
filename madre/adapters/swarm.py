"""The swarm driver: the services are those of one stack on Docker Swarm, on one machine or on many.

Starting and stopping is scaling a service to one and to none. Swarm places what should run, on whichever machine has
room, but brings nothing back by itself (the stack file says `condition: none`): that is decided in one place, by madre.
So one life of a service is one task, and each start raises the number that Swarm calls ForceUpdate: without that a
service whose task ended would already be as it should be, in Swarm's eyes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from config.app import task
from config.clients import Clients
from config.errors import NotFound, StartFailed, Unavailable
from config.logs import redacted
from config.services import FLEET
from config.settings import PowerSettings
from madre.adapters.compose import usage_of
from madre.adapters.engine import Engine, filter_of, unframed
from madre.adapters.printed import readable
from madre.drivers import Observed, Usage
from madre.swarm_tasks import Declared, Task

_STACK: Final = "com.docker.stack.namespace"
_SERVICE: Final = "com.docker.swarm.service.name"
_OUT_OF_SEQUENCE: Final = "update out of sequence"
_TRIES: Final = 5
_AGAIN_SEC: Final = 1.0
_LOOK_EVERY_SEC: Final = 0.05
_ORDERED_WITHIN_SEC: Final = 5.0
_LINES_READ: Final = 40
_LAST_LINES: Final = 6
_log = logging.getLogger(__name__)


class SwarmDriver:
    """Scales the services of the stack `stack`; `running()` must be entered before it is used."""

    name = "swarm"
    simulated = False

    def __init__(self, engine: Engine, stack: str) -> None:
        self._engine = engine
        self._stack = stack
        self._one_order = asyncio.Lock()
        self._changed: asyncio.Queue[str] = asyncio.Queue()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen to the engine while the block runs."""
        async with task(self._listen(), name="swarm events"):
            yield

    async def start(self, service: str) -> None:
        """Scale it to one; a service whose last task ended gets a new one."""
        if service not in FLEET:
            raise StartFailed(f"{service} is no service of the house.")
        async with self._one_order:
            ordered = await self._order(service, start=True)
            if ordered is not None:
                await self._taken_up(ordered)

    async def stop(self, service: str) -> None:
        """Scale it to none: SIGTERM, and SIGKILL after the grace period that the stack gives it."""
        async with self._one_order:
            try:
                await self._order(service, start=False)
            except StartFailed:  # what the stack does not hold does not run
                return

    async def observe(self) -> Mapping[str, Observed]:
        """The stack's services that have a task, on whichever machine; core included."""
        tasks = await self._alive(await self._declared())
        return {
            one.service: Observed(one.id, one.made_at, stopping=one.is_ending)
            for one in sorted(tasks, key=lambda one: (not one.is_ending, one.made_at))
        }

    async def events(self) -> AsyncIterator[str]:
        """Each service that is scaled, and each whose container on this machine starts or ends."""
        while True:
            yield await self._changed.get()

    async def usage(self) -> Mapping[str, Usage]:
        """What the containers on this machine take; of other machines the engine here knows nothing."""
        try:
            labels = filter_of({"label": [f"{_STACK}={self._stack}"]})
            containers = await self._engine.get("/containers/json", filters=labels)
            counted = await asyncio.gather(*(self._counted(one["Id"]) for one in containers))
        except Unavailable:
            return {}
        names = [self._service_in(one["Labels"].get(_SERVICE, "")) for one in containers]
        return {name: usage for name, usage in zip(names, counted, strict=True) if name in FLEET and usage is not None}

    async def last_words(self, service: str) -> str:
        """What Swarm says of its last task, and the end of what that printed."""
        try:
            tasks = await self._tasks(await self._declared(service))
            if not tasks:
                return ""
            said = readable([*tasks[-1].complaints, *await self._printed(tasks[-1])])
        except (NotFound, StartFailed, Unavailable) as error:
            _log.warning("no last words of %s: %s", service, error.detail)
            return ""
        return redacted("\n".join(said))

    async def _order(self, service: str, *, start: bool) -> Declared | None:
        """Have Swarm want one task of it, or none; None where nothing had to be changed."""
        for _ in range(_TRIES):
            declared = (await self._declared(service))[0]
            tasks = await self._alive([declared])
            spec = declared.to_start(tasks) if start else declared.to_stop()
            if spec is None:
                return None
            try:
                await self._engine.post(f"/services/{declared.id}/update", spec, version=str(declared.version))
            except Unavailable as error:
                if _OUT_OF_SEQUENCE not in error.detail:
                    raise
                continue  # somebody scaled it at this moment: look again
            return Declared.of({**declared.raw, "Spec": spec}, self._stack)
        raise Unavailable(f"{service} is changed by others all the time.", retry_after_sec=1)

    async def _taken_up(self, ordered: Declared) -> None:
        """Return once Swarm has made the task, so that the next look finds it; or soon, if it does not."""
        give_up = asyncio.get_running_loop().time() + _ORDERED_WITHIN_SEC
        while asyncio.get_running_loop().time() < give_up:
            if any(one.order == ordered.order for one in await self._tasks([ordered])):
                return
            await asyncio.sleep(_LOOK_EVERY_SEC)

    async def _declared(self, service: str | None = None) -> list[Declared]:
        """The stack's services of the house, or the one asked for; StartFailed if the stack does not hold that."""
        labels = filter_of({"label": [f"{_STACK}={self._stack}"]})
        found = [Declared.of(raw, self._stack) for raw in await self._engine.get("/services", filters=labels)]
        wanted = [one for one in found if one.service == service or (service is None and one.service in FLEET)]
        if service is not None and not wanted:
            raise StartFailed(f"The stack {self._stack} holds no service {service}.")
        return wanted

    async def _tasks(self, declared: Sequence[Declared]) -> list[Task]:
        """Every task that Swarm still knows of these services, oldest first."""
        if not declared:
            return []
        names = {one.id: one.service for one in declared}
        found = await self._engine.get("/tasks", filters=filter_of({"service": list(names)}))
        tasks = [Task.of(raw, names[raw["ServiceID"]]) for raw in found if raw["ServiceID"] in names]
        return sorted(tasks, key=lambda one: one.made_at)

    async def _alive(self, declared: Sequence[Declared]) -> list[Task]:
        """Those that run or are on their way, on machines that answer."""
        tasks, nodes = await asyncio.gather(self._tasks(declared), self._engine.get("/nodes"))
        lost = {node["ID"] for node in nodes if node["Status"]["State"] == "down"}
        return [one for one in tasks if one.is_alive and one.node not in lost]

    async def _counted(self, container: str) -> Usage | None:
        try:
            query = {"stream": "false", "one-shot": "true"}
            return usage_of(await self._engine.get(f"/containers/{container}/stats", **query))
        except NotFound:
            return None

    async def _printed(self, one: Task) -> list[str]:
        path = f"/tasks/{one.id}/logs"
        log = await self._engine.text(path, stdout="1", stderr="1", tail=f"{_LINES_READ}")
        return unframed(log).splitlines()[-_LAST_LINES:]

    def _service_in(self, name: str) -> str:
        return name.removeprefix(f"{self._stack}_")

    async def _listen(self) -> None:
        filters = {"type": ["service", "container"], "event": ["update", "start", "die"]}
        while True:
            try:
                async for event in self._engine.events(filters):
                    attributes = event["Actor"]["Attributes"]
                    name = self._service_in(attributes.get(_SERVICE) or attributes.get("name", ""))
                    if name in FLEET:
                        self._changed.put_nowait(name)
            except (Unavailable, NotFound) as error:
                _log.warning("%s", error.detail)
            await asyncio.sleep(_AGAIN_SEC)


def swarm_driver(power: PowerSettings, clients: Clients) -> SwarmDriver:
    """The driver of the stack and the manager's engine that the settings name."""
    return SwarmDriver(Engine(power.engine, clients.streams), power.project)
