"""What madre asks other services: how they are, which wakes and holds nobody, and what the steps of plans have them do.

The second is asked with the rights of whoever the plan is for, and where it starts something, with the step's key.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from config.auth import Caller
from config.clients import Clients, Timeout
from config.contracts.base import Page
from config.contracts.discovery import TIERS, Discovery, DiscoveryOrder
from config.contracts.health import Health, Readiness
from config.contracts.models import DownloadJob, LocalModel, ModelPatch, ModelPull, ScanOrder, ScanReport
from config.contracts.prompts import RoutedPrompt, SwitchChat, SwitchChatAnswer, TaskState, TaskTicket
from config.contracts.serving import ModelLoad, ServedModel, ServedModels
from config.contracts.spawning import Job, JobDetail, Spawned, SpawnOrder
from config.contracts.watch import Incident, PatchDraft, PatchWish, Scanned
from config.contracts.weather import ControlAnswer, SwitchControl

_TASKS = "/switch/task"


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

    async def health(self, service: str) -> Health | None:
        """What `service` says of itself; None when it does not answer."""
        return await self._clients.peer(service).vital("/health", answer=Health)

    async def exposition(self, service: str) -> str | None:
        """What `service` counts of itself, as Prometheus text; None when it does not say."""
        return await self._clients.peer(service).exposition()


class Hermes:
    """The model registry."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def models(self, caller: Caller, limit: int) -> Page[LocalModel]:
        """Registered models, newest first."""
        path, params = "/hermes/models", {"limit": limit}
        return await self._clients.peer("hermes").get(path, answer=Page[LocalModel], on_behalf=caller, params=params)

    async def model(self, name: str, caller: Caller) -> LocalModel:
        """One registered model."""
        return await self._clients.peer("hermes").get(_model(name), answer=LocalModel, on_behalf=caller)

    async def patch(self, name: str, patch: ModelPatch, caller: Caller) -> LocalModel:
        """Change what a person may change of a model."""
        return await self._clients.peer("hermes").patch(_model(name), patch, answer=LocalModel, on_behalf=caller)

    async def delete(self, name: str, caller: Caller) -> LocalModel:
        """Remove a model and its file."""
        return await self._clients.peer("hermes").delete(_model(name), answer=LocalModel, on_behalf=caller)

    async def pull(self, name: str | None, source: str | None, caller: Caller, key: str) -> DownloadJob:
        """Begin to bring a model here; looking at it first may take a while."""
        return await self._clients.peer("hermes").post(
            "/hermes/models/pull",
            ModelPull(name=name, source=source),
            answer=DownloadJob,
            on_behalf=caller,
            timeout=Timeout.SLOW,
            key=key,
        )

    async def begun(self, name: str | None, source: str | None, caller: Caller, key: str) -> DownloadJob | None:
        """The download that was begun with this key; None where none was, and then none will be."""
        return await self._clients.peer("hermes").begun(
            "/hermes/models/pull", ModelPull(name=name, source=source), answer=DownloadJob, on_behalf=caller, key=key
        )

    async def job(self, job_id: str, caller: Caller) -> DownloadJob:
        """How a download stands."""
        return await self._clients.peer("hermes").get(_job(job_id), answer=DownloadJob, on_behalf=caller)

    async def cancel(self, job_id: str, caller: Caller) -> DownloadJob:
        """Stop a download."""
        return await self._clients.peer("hermes").post(_job(job_id) + "/cancel", answer=DownloadJob, on_behalf=caller)

    async def scan(self, verify: bool, caller: Caller, key: str) -> ScanReport:
        """Look through the models folder."""
        order = ScanOrder(verify=verify)
        return await self._clients.peer("hermes").post(
            "/hermes/scan", order, answer=ScanReport, on_behalf=caller, timeout=Timeout.SLOW, key=key
        )

    async def discover(self, query: str | None, caller: Caller) -> Discovery:
        """Look for models and programs; on the Hub only with a `query`."""
        tiers = [tier for tier in TIERS if tier != "web" or query is not None]
        order = DiscoveryOrder(tiers=tiers, query=query)
        return await self._clients.peer("hermes").post(
            "/hermes/discover", order, answer=Discovery, on_behalf=caller, timeout=Timeout.SLOW
        )


class Switch:
    """Models in memory, prompts, the engine mode."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def models(self, caller: Caller) -> ServedModels:
        """What is in memory, and every enabled model."""
        return await self._clients.peer("switch").get("/switch/models", answer=ServedModels, on_behalf=caller)

    async def load(self, name: str, ttl_sec: float | None, caller: Caller) -> ServedModel:
        """Have a model in memory."""
        path, order = f"/switch/models/{quote(name, safe='')}/load", ModelLoad(ttl_sec=ttl_sec)
        return await self._clients.peer("switch").post(
            path, order, answer=ServedModel, on_behalf=caller, timeout=Timeout.SLOW
        )

    async def unload(self, name: str, caller: Caller) -> ServedModel:
        """Give a model's memory back; Conflict while others use it or wait for it."""
        path = f"/switch/models/{quote(name, safe='')}/unload"
        return await self._clients.peer("switch").post(path, answer=ServedModel, on_behalf=caller)

    async def chat(self, chat: SwitchChat, caller: Caller) -> SwitchChatAnswer:
        """Have a conversation answered."""
        return await self._clients.peer("switch").post(
            "/switch/chat", chat, answer=SwitchChatAnswer, on_behalf=caller, timeout=Timeout.SLOW
        )

    async def put_task(self, prompt: str, model: str | None, caller: Caller, key: str) -> TaskTicket:
        """Have a prompt kept and answered in its turn."""
        return await self._clients.peer("switch").post(
            _TASKS, _routed(prompt, model), answer=TaskTicket, on_behalf=caller, key=key
        )

    async def begun_task(self, prompt: str, model: str | None, caller: Caller, key: str) -> TaskTicket | None:
        """The task that was put with this key; None where none was, and then none will be."""
        return await self._clients.peer("switch").begun(
            _TASKS, _routed(prompt, model), answer=TaskTicket, on_behalf=caller, key=key
        )

    async def task(self, task_id: str, caller: Caller) -> TaskState:
        """How a task stands, and its answer."""
        return await self._clients.peer("switch").get(_task(task_id), answer=TaskState, on_behalf=caller)

    async def cancel_task(self, task_id: str, caller: Caller) -> TaskState:
        """End a task; one that is over stays as it is."""
        return await self._clients.peer("switch").post(_task(task_id) + "/cancel", answer=TaskState, on_behalf=caller)

    async def set_mode(self, mode: str, caller: Caller) -> ControlAnswer:
        """Set the engine mode; `auto` has the load decide again."""
        order = SwitchControl(action="set_mode", mode=mode)
        return await self._clients.peer("switch").post("/switch/control", order, answer=ControlAnswer, on_behalf=caller)


class Spawner:
    """Daughter tasks."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def spawn(self, order: SpawnOrder, caller: Caller, key: str) -> Spawned:
        """Have a task run."""
        return await self._clients.peer("spawner").post("/spawn", order, answer=Spawned, on_behalf=caller, key=key)

    async def begun(self, order: SpawnOrder, caller: Caller, key: str) -> Spawned | None:
        """The task that was begun with this key; None where none was, and then none will be."""
        return await self._clients.peer("spawner").begun("/spawn", order, answer=Spawned, on_behalf=caller, key=key)

    async def jobs(self, caller: Caller, limit: int) -> Page[Job]:
        """Daughter tasks, newest first."""
        path, params = "/spawner/jobs", {"limit": limit}
        return await self._clients.peer("spawner").get(path, answer=Page[Job], on_behalf=caller, params=params)

    async def job(self, task_id: str, caller: Caller) -> JobDetail:
        """One daughter task."""
        return await self._clients.peer("spawner").get(f"/spawner/jobs/{task_id}", answer=JobDetail, on_behalf=caller)

    async def kill(self, task_id: str, caller: Caller) -> Job:
        """End a daughter task and all its processes."""
        path = f"/spawner/jobs/{task_id}/kill"
        return await self._clients.peer("spawner").post(path, answer=Job, on_behalf=caller)


class Hormiguero:
    """Faults of the house, and the looking for them."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def scan(self, caller: Caller) -> None:
        """Look for faults once; returns when that is over."""
        path = "/hormiguero/scan/once"
        await self._clients.peer("hormiguero").post(path, answer=Scanned, on_behalf=caller, timeout=Timeout.SLOW)

    async def incidents(self, caller: Caller, limit: int) -> Page[Incident]:
        """The faults that are known, newest first."""
        path, params = "/hormiguero/incidents", {"limit": limit}
        return await self._clients.peer("hormiguero").get(path, answer=Page[Incident], on_behalf=caller, params=params)


class Manifestator:
    """What is otherwise than the manifest says, and what would mend that."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    async def drift(self, caller: Caller, limit: int) -> Page[dict[str, Any]]:
        """What differs, as manifestator lists it: handed on as it is, so its form is manifestator's own."""
        path, params = "/manifestator/drift", {"limit": limit}
        return await self._clients.peer("manifestator").get(
            path, answer=Page[dict[str, Any]], on_behalf=caller, params=params
        )

    async def patch_plan(self, wish: PatchWish, caller: Caller, key: str) -> PatchDraft:
        """Have a patch drawn up; nothing is applied."""
        return await self._clients.peer("manifestator").post(
            "/manifestator/patchplan", wish, answer=PatchDraft, on_behalf=caller, timeout=Timeout.SLOW, key=key
        )


def _model(name: str) -> str:
    return f"/hermes/models/{quote(name, safe='')}"


def _routed(prompt: str, model: str | None) -> RoutedPrompt:
    return RoutedPrompt(prompt=prompt, metadata={} if model is None else {"model": model}, source="madre")


def _task(task_id: str) -> str:
    return f"{_TASKS}/{quote(task_id, safe='')}"


def _job(job_id: str) -> str:
    return f"/hermes/jobs/{quote(job_id, safe='')}"
