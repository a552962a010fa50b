"""The compose driver: the services are containers of one Compose project.

What is, the engine is asked anew at each look, so services that somebody started or stopped by hand are seen like all
others, and a restarted madre sees what outlived her. Bringing up is the real `docker compose up`; looking and stopping
go to the engine's socket, where they cost milliseconds instead of a program's start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from config.app import task
from config.clients import Clients
from config.errors import Conflict, NotFound, StartFailed, Unavailable, VX11Error
from config.logs import redacted
from config.memory import machine_mb
from config.services import CORE, FLEET
from config.settings import PowerSettings
from madre.adapters.compose_command import ComposeCommand
from madre.adapters.engine import Engine, filter_of, unframed
from madre.adapters.printed import readable
from madre.compose_file import must_be_startable
from madre.drivers import Observed, Usage

_STOP_SEC: Final = 90.0  # above any grace period a compose file gives, so that the engine's own deadline decides
_AGAIN_SEC: Final = 1.0
_LINES_READ: Final = 40
_LAST_LINES: Final = 6
_LABEL: Final = "com.docker.compose."
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Container:
    """One container of the project; `made_at` in seconds since 1970, by the engine's clock."""

    id: str
    service: str
    made_at: int


class ComposeDriver:
    """Starts and stops the containers of `project`; `running()` must be entered before it is used."""

    name = "compose"
    simulated = False

    def __init__(self, engine: Engine, compose: ComposeCommand, project: str) -> None:
        self._engine = engine
        self._compose = compose
        self._project = project
        self._started: dict[str, datetime] = {}  # by container; right while the engine's events come
        self._heard = 0
        self._ending: dict[str, asyncio.Task[None]] = {}
        self._joining: set[str] = set()
        self._round: asyncio.Task[Mapping[str, VX11Error]] | None = None
        self._one_round = asyncio.Lock()
        self._refused: dict[str, str] = {}
        self._changed: asyncio.Queue[str] = asyncio.Queue()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen to the engine while the block runs, and read the compose file before the first window wants it."""
        async with task(self._listen(), name="engine events"), task(self._read_file(), name="compose file"):
            try:
                yield
            finally:
                for ending in self._ending.values():
                    ending.cancel()
                await asyncio.gather(*self._ending.values(), return_exceptions=True)

    async def start(self, service: str) -> None:
        """`docker compose up` for it and for all others that are asked for in the same moment."""
        if service in CORE:
            await self._bring_back(service)
            return
        if service in self._ending:
            return
        must_be_startable(service, await self._compose.config())
        self._joining.add(service)
        if self._round is None:
            self._round = asyncio.create_task(self._start_all())
        failures = await asyncio.shield(self._round)
        self._refused.pop(service, None)
        if failure := failures.get(service):
            self._refused[service] = failure.detail
            raise failure

    async def stop(self, service: str) -> None:
        """The engine's own stop: SIGTERM now, SIGKILL after the container's grace period. Returns at once."""
        containers = await self._containers(service)
        if containers and service not in self._ending:
            self._ending[service] = asyncio.create_task(self._end(service, containers))

    async def observe(self) -> Mapping[str, Observed]:
        """The project's containers that run, of the house's services; core included."""
        containers = await self._containers()
        self._started = {one.id: self._started[one.id] for one in containers if one.id in self._started}
        seen = await asyncio.gather(*(self._seen(one) for one in containers))
        return {service: one for service, one in seen if one is not None}

    async def events(self) -> AsyncIterator[str]:
        """Each service whose container starts or ends."""
        while True:
            yield await self._changed.get()

    async def usage(self) -> Mapping[str, Usage]:
        """What the kernel counted for each container's control group; nothing while the engine is silent."""
        try:
            containers = await self._containers()
            counted = await asyncio.gather(*(self._counted(one) for one in containers))
        except Unavailable:
            return {}
        return {one.service: usage for one, usage in zip(containers, counted, strict=True) if usage is not None}

    async def last_words(self, service: str) -> str:
        """How it last ended, or why it could not begin, and the end of what it printed."""
        said = [self._refused[service]] if service in self._refused else []
        try:
            if containers := await self._containers(service, also_ended=True):
                said += await self._epitaph(containers[-1])
        except (NotFound, Unavailable) as error:
            _log.warning("no last words of %s: %s", service, error.detail)
        return redacted("\n".join(said))

    async def _bring_back(self, service: str) -> None:
        """Start the container of a core service as it was made: madre makes none of these."""
        containers = await self._containers(service, also_ended=True)
        if not containers:
            raise StartFailed(f"{service} has no container; `docker compose up -d` makes it.")
        try:
            await self._engine.post(f"/containers/{containers[-1].id}/start")
        except (Conflict, NotFound) as error:
            raise StartFailed(f"{service} was not started: {error.detail}") from error

    async def _read_file(self) -> None:
        try:
            await self._compose.config()
        except StartFailed as error:
            _log.warning("nothing can be started: %s", error.detail)

    async def _start_all(self) -> Mapping[str, VX11Error]:
        """Bring up what joined; what came of it for those that failed."""
        async with self._one_round:
            services, self._joining, self._round = sorted(self._joining), set(), None
            return await self._up(services)

    async def _up(self, services: Sequence[str]) -> Mapping[str, VX11Error]:
        """All in one go; one at a time where that failed, so that nobody pays for another's fault."""
        try:
            await self._compose.up(*services)
        except StartFailed as error:
            if len(services) > 1:
                one_by_one = [await self._up([service]) for service in services]
                return {service: failure for failures in one_by_one for service, failure in failures.items()}
            return {services[0]: await self._fault(error)}
        return {}

    async def _fault(self, error: StartFailed) -> VX11Error:
        """`error`, unless it was the engine's: an engine that is away says nothing about a service."""
        try:
            await self._engine.get("/info")
        except Unavailable as away:
            return away
        return error

    async def _end(self, service: str, containers: Sequence[Container]) -> None:
        """Have containers end, for as long as that takes; madre waits for what she told to stop."""
        try:
            await asyncio.gather(*(self._end_one(one) for one in containers))
        finally:
            del self._ending[service]
            self._changed.put_nowait(service)

    async def _end_one(self, container: Container) -> None:
        while True:
            try:
                await self._engine.post(f"/containers/{container.id}/stop", within_sec=_STOP_SEC)
                return
            except NotFound:
                return
            except (Conflict, Unavailable) as error:
                _log.warning("%s does not stop yet: %s", container.service, error.detail)
            await asyncio.sleep(_AGAIN_SEC)

    async def _containers(self, service: str | None = None, *, also_ended: bool = False) -> list[Container]:
        """The project's containers, oldest first; without those of `docker compose run`."""
        labels = [f"{_LABEL}project={self._project}", f"{_LABEL}oneoff=False"]
        labels += [f"{_LABEL}service={service}"] if service else []
        query = {"all": "1"} if also_ended else {}
        found = await self._engine.get("/containers/json", filters=filter_of({"label": labels}), **query)
        containers = [_container(one) for one in found if one["State"] != "removing"]
        return sorted((one for one in containers if one.service in FLEET), key=lambda one: one.made_at)

    async def _seen(self, container: Container) -> tuple[str, Observed | None]:
        try:
            started_at = self._started.get(container.id) or await self._ask_start(container)
        except NotFound:
            return container.service, None
        instance = f"{container.id[:12]}@{started_at.isoformat()}"  # one container may live many times
        return container.service, Observed(instance, started_at, stopping=container.service in self._ending)

    async def _ask_start(self, container: Container) -> datetime:
        heard = self._heard
        state = (await self._engine.get(f"/containers/{container.id}/json"))["State"]
        started_at = datetime.fromisoformat(state["StartedAt"])
        if heard == self._heard:  # else this may be of the life before
            self._started[container.id] = started_at
        return started_at

    async def _counted(self, container: Container) -> Usage | None:
        try:
            query = {"stream": "false", "one-shot": "true"}
            return usage_of(await self._engine.get(f"/containers/{container.id}/stats", **query))
        except NotFound:
            return None

    async def _epitaph(self, container: Container) -> list[str]:
        state = (await self._engine.get(f"/containers/{container.id}/json"))["State"]
        printed = await self._engine.text(
            f"/containers/{container.id}/logs", stdout="1", stderr="1", tail=f"{_LINES_READ}"
        )
        how = [] if state["Running"] else [_how(container.service, state)]
        return [*how, *readable(unframed(printed).splitlines())[-_LAST_LINES:]]

    async def _listen(self) -> None:
        filters = {
            "type": ["container"],
            "event": ["start", "die", "pause", "unpause"],
            "label": [f"{_LABEL}project={self._project}"],
        }
        deaf_because = ""
        while True:
            try:
                async for event in self._engine.events(filters):
                    deaf_because = ""
                    self._hear(event["Actor"])
            except (Conflict, NotFound, Unavailable) as error:
                if error.detail != deaf_because:  # once, not once a second
                    _log.warning("no events of containers: %s", error.detail)
                deaf_because = error.detail
            self._started.clear()  # who knows what happened meanwhile
            await asyncio.sleep(_AGAIN_SEC)

    def _hear(self, container: Mapping[str, Any]) -> None:
        self._heard += 1
        self._started.pop(container["ID"], None)
        self._changed.put_nowait(container["Attributes"].get(f"{_LABEL}service", ""))


def compose_driver(power: PowerSettings, clients: Clients) -> ComposeDriver:
    """The driver of the project, file and engine that the settings name."""
    engine = Engine(power.engine, clients.streams)
    return ComposeDriver(engine, ComposeCommand(power.compose_file, power.project, power.engine), power.project)


def _container(found: Mapping[str, Any]) -> Container:
    return Container(found["Id"], found["Labels"].get(f"{_LABEL}service", ""), found["Created"])


def _how(service: str, state: Mapping[str, Any]) -> str:
    if state.get("OOMKilled"):
        return f"{service} took more memory than its container has and was killed."
    if error := state.get("Error"):
        return f"{service} did not begin: {readable([error])[-1]}"
    code = state["ExitCode"]
    return f"{service} was ended by signal {code - 128}." if code > 128 else f"{service} ended with status {code}."


def usage_of(stats: Mapping[str, Any]) -> Usage | None:
    """A control group's figures as `docker stats` counts them: memory without the page cache that can go."""
    memory, cpu = stats.get("memory_stats") or {}, stats.get("cpu_stats") or {}
    if "usage" not in memory:
        return None
    details = memory.get("stats") or {}
    reclaimable = details.get("inactive_file", details.get("total_inactive_file", 0))
    moved = (stats.get("blkio_stats") or {}).get("io_service_bytes_recursive")
    return Usage(
        cpu_sec=cpu["cpu_usage"]["total_usage"] / 1e9,
        memory_mb=round((memory["usage"] - reclaimable) / 2**20, 1),
        read_bytes=_moved(moved, "read"),
        written_bytes=_moved(moved, "write"),
        memory_limit_mb=_limit_mb(memory.get("limit")),
    )


def _limit_mb(limit: int | None) -> float | None:
    """The limit of a control group; None where it has none, which the engine calls all of the host's memory."""
    return limit / 2**20 if limit and limit // 2**20 < machine_mb() else None


def _moved(entries: Sequence[Mapping[str, Any]] | None, way: str) -> int | None:
    """Bytes counted so far; None where nothing was, which is what a kernel that does not count says too."""
    return sum(one["value"] for one in entries if one["op"].lower() == way) if entries else None
