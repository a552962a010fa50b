"""The gateway as the command line uses it: one method a verb, typed by the contracts.

Whatever goes wrong comes out as CommandFailed, in the words of the error tree.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from config import clients
from config.auth import admin_token
from config.contracts.asking import DoorIntent, IntentAnswer
from config.contracts.autonomy import AutonomyStart, AutonomyState, AutonomyStop
from config.contracts.base import Page
from config.contracts.events import Event
from config.contracts.health import Health
from config.contracts.models import Catalogue, DownloadJob, LocalModel, ModelPull
from config.contracts.plans import Plan, PlanCancel, PlanConfirm
from config.contracts.power import (
    Maintenance,
    MaintenanceReport,
    PolicyStatus,
    PowerState,
    Window,
    WindowClose,
    WindowExtend,
    WindowHold,
    WindowOpen,
)
from config.contracts.prompts import SwitchChat, SwitchChatAnswer
from config.contracts.serving import ServedModel, ServedModels, WarmupStatus
from config.contracts.spawning import Job, JobDetail, Output, Spawned, SpawnOrder
from config.contracts.status import FleetStatus
from config.errors import VX11Error
from config.settings import Settings
from scripts.cli.failure import CommandFailed

T = TypeVar("T", bound=BaseModel)
_EVENT_SEC = 10.0


@dataclass(frozen=True, slots=True)
class Piece:
    """A bit of a streamed answer; the last one carries `usage`, the counts of tokens."""

    text: str
    usage: Mapping[str, int] | None = None


class Door:
    """A connection to one gateway with one token."""

    def __init__(self, client: httpx.Client) -> None:  # noqa: TID251  # the type; config.clients makes it
        self._client = client

    def is_ready(self) -> bool:
        """Whether the gateway answers and can do its job."""
        try:
            return self._client.get("/ready", timeout=2.0).is_success
        except httpx.HTTPError:
            return False

    def health(self) -> Health:
        """How the service behind this door says it is."""
        return self._get("/health", Health)

    def status(self) -> FleetStatus:
        """What is really running."""
        return self._get("/vx11/status", FleetStatus)

    def catalogue(self) -> Catalogue:
        """The models hermes knows how to get."""
        return self._get("/hermes/catalog", Catalogue)

    def models(self) -> list[LocalModel]:
        """The models on this machine."""
        return self._get("/hermes/models?limit=200", Page[LocalModel]).items

    def served(self) -> ServedModels:
        """The models in memory, and the budget."""
        return self._get("/switch/models", ServedModels)

    def pull(self, order: ModelPull) -> DownloadJob:
        """Start bringing a model here."""
        return self._post("/hermes/models/pull", order, DownloadJob)

    def job(self, job_id: str) -> DownloadJob:
        """How a download is getting on."""
        return self._get(f"/hermes/jobs/{job_id}", DownloadJob)

    def cancel_job(self, job_id: str) -> DownloadJob:
        """Stop a download."""
        return self._post(f"/hermes/jobs/{job_id}/cancel", None, DownloadJob)

    def remove_model(self, name: str) -> None:
        """Delete a model, row and file."""
        self._ask("DELETE", f"/hermes/models/{name}")

    def load_model(self, name: str) -> ServedModel:
        """Bring a model into memory."""
        return self._post(f"/switch/models/{name}/load", None, ServedModel)

    def unload_model(self, name: str) -> ServedModel:
        """Take a model out of memory."""
        return self._post(f"/switch/models/{name}/unload", None, ServedModel)

    def warm_up(self) -> WarmupStatus:
        """Begin to bring every enabled model into memory in its turn, with one inference each."""
        return self._post("/switch/warmup", None, WarmupStatus)

    def warmup(self) -> WarmupStatus:
        """How that is getting on."""
        return self._get("/switch/warmup/status", WarmupStatus)

    def power(self) -> PowerState:
        """Policy, windows and services as madre sees them."""
        return self._get("/madre/power/state", PowerState)

    def open_window(self, order: WindowOpen) -> Window:
        """Hold services up for a while."""
        return self._post("/madre/power/window/open", order, Window)

    def close_window(self, order: WindowClose) -> Window:
        """Let go of a window."""
        return self._post("/madre/power/window/close", order, Window)

    def hold_window(self, order: WindowHold) -> Window:
        """Take a window's deadline away, or give it one again."""
        return self._post("/madre/power/window/hold", order, Window)

    def extend_window(self, order: WindowExtend) -> Window:
        """Move a window's deadline."""
        return self._post("/madre/power/window/extend", order, Window)

    def apply_policy(self, policy: str) -> PolicyStatus:
        """Put a policy in force."""
        return self._post(f"/madre/power/policy/{policy}/apply", None, PolicyStatus)

    def look_over(self) -> MaintenanceReport:
        """What maintenance would find in the database; nothing is changed."""
        return self._post("/madre/power/maintenance", Maintenance(apply=False), MaintenanceReport)

    def ask_switch(self, order: SwitchChat) -> SwitchChatAnswer:
        """A chat whose model Switch chooses."""
        return self._post("/switch/chat", order, SwitchChatAnswer)

    def spawn(self, order: SpawnOrder) -> Spawned:
        """Have a daughter task run."""
        return self._post("/spawner/spawn", order, Spawned)

    def daughters(self, user: str | None = None) -> list[Job]:
        """The caller's latest daughter tasks, or those of `user`; `*` is everybody."""
        return self._get(f"/spawner/jobs?limit=50{_whose(user)}", Page[Job]).items

    def daughter(self, spawn_id: str) -> JobDetail:
        """One daughter task, with all its tries."""
        return self._get(f"/spawner/jobs/{spawn_id}", JobDetail)

    def kill_daughter(self, spawn_id: str) -> JobDetail:
        """End a daughter task and all that descends from it."""
        return self._post(f"/spawner/jobs/{spawn_id}/kill", None, JobDetail)

    def said_by(self, spawn_id: str) -> Iterator[Output]:
        """What a daughter task says, as it says it, until it has ended."""
        path, headers = f"/spawner/jobs/{spawn_id}/output", {"accept": "text/event-stream"}
        with _in_words(), self._client.stream("GET", path, headers=headers, timeout=None) as answer:
            if answer.is_error:
                answer.read()
                clients.raise_for_problem(answer)
            event = ""
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: ") and event == "output":
                    yield Output.model_validate_json(line.removeprefix("data: "))

    def intend(self, wish: DoorIntent) -> IntentAnswer:
        """Say what is wanted."""
        return self._post("/vx11/intent", wish, IntentAnswer)

    def result(self, asked_id: str) -> IntentAnswer:
        """How stands what was said under this id."""
        return self._get(f"/vx11/result/{quote(asked_id, safe='')}", IntentAnswer)

    def autonomy(self, cursor: str | None = None) -> AutonomyState:
        """Whether madre acts by herself, and a page of her ticks, newest first."""
        path = "/madre/autonomous?limit=200"
        return self._get(path if cursor is None else f"{path}&cursor={quote(cursor, safe='')}", AutonomyState)

    def start_autonomy(self, order: AutonomyStart) -> AutonomyState:
        """Have madre act by herself, or in shadow say what she would do."""
        return self._post("/madre/autonomous/start", order, AutonomyState)

    def stop_autonomy(self, order: AutonomyStop) -> AutonomyState:
        """Have madre act only when asked."""
        return self._post("/madre/autonomous/stop", order, AutonomyState)

    def plans(self, user: str | None = None) -> list[Plan]:
        """The caller's latest plans, or those of `user`; `*` is everybody."""
        return self._get(f"/madre/plans?limit=20{_whose(user)}", Page[Plan]).items

    def plan(self, plan_id: str) -> Plan:
        """One plan."""
        return self._get(f"/madre/plans/{plan_id}", Plan)

    def review_plan(self, plan_id: str) -> Plan:
        """A waiting plan as things are now, with a fresh token."""
        return self._post(f"/madre/plans/{plan_id}/review", None, Plan)

    def confirm_plan(self, plan_id: str, token: str) -> Plan:
        """Let a waiting plan run."""
        return self._post(f"/madre/plans/{plan_id}/confirm", PlanConfirm(confirm_token=token), Plan)

    def cancel_plan(self, plan_id: str) -> Plan:
        """End a plan."""
        return self._post(f"/madre/plans/{plan_id}/cancel", PlanCancel(), Plan)

    def first_event(self, prefix: str, is_meant: Callable[[Event], bool]) -> Event:
        """The first stored event of a type that starts with `prefix` for which `is_meant` is true; waits for it."""
        headers = {"last-event-id": "0"}
        path = f"/vx11/events?types={prefix}"
        with _in_words(), self._client.stream("GET", path, headers=headers, timeout=_EVENT_SEC) as answer:
            if answer.is_error:
                answer.read()
                clients.raise_for_problem(answer)
            for line in answer.iter_lines():
                if line.startswith("data: ") and is_meant(event := Event.model_validate_json(line[6:])):
                    return event
        raise CommandFailed(f"The event stream ended before the {prefix} event that was waited for.")

    def chat(self, messages: Sequence[Mapping[str, str]], *, model: str, **more: object) -> Iterator[Piece]:
        """Ask `model`; its answer, piece by piece as it is made."""
        order = {
            "model": model,
            "messages": list(messages),
            "stream": True,
            "stream_options": {"include_usage": True},
            **more,
        }
        with _in_words(), self._client.stream("POST", "/v1/chat/completions", json=order) as answer:
            if answer.is_error:
                answer.read()
                clients.raise_for_problem(answer)
            for line in answer.iter_lines():
                if line.startswith("data: ") and line != "data: [DONE]":
                    yield _piece(json.loads(line.removeprefix("data: ")))

    def _get(self, path: str, answer: type[T]) -> T:
        return answer.model_validate_json(self._ask("GET", path).content)

    def _post(self, path: str, order: BaseModel | None, answer: type[T]) -> T:
        body = order.model_dump(mode="json", exclude_none=True) if order else None
        return answer.model_validate_json(self._ask("POST", path, body).content)

    def _ask(self, method: str, path: str, body: object = None) -> httpx.Response:
        with _in_words():
            answer = self._client.request(method, path, json=body)
            clients.raise_for_problem(answer)
            return answer


def address_of(settings: Settings) -> str:
    """Where the gateway of this machine's fleet is reached from this machine, or from inside a container of it."""
    return settings.url_of("tentaculo_link")


@contextmanager
def open_door(settings: Settings, url: str | None = None) -> Iterator[Door]:
    """The gateway of this machine's fleet, or the one at `url`, with the admin token."""
    with clients.door(url or address_of(settings), admin_token(settings)) as client:
        yield Door(client)


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except VX11Error as error:
        raise CommandFailed(error.detail, error.hint or "") from error
    except httpx.ConnectError as error:
        raise CommandFailed("The fleet is not running.", "Start it: ./vx11 up") from error
    except httpx.TimeoutException as error:
        raise CommandFailed("The fleet did not answer in time.", "How it is: ./vx11 status") from error
    except httpx.TransportError as error:
        raise CommandFailed(f"The connection to the fleet broke ({type(error).__name__}).") from error


def _piece(event: dict[str, Any]) -> Piece:
    """One server-sent event of a chat stream, as OpenAI writes them."""
    if "error" in event:
        raise CommandFailed(str(event["error"].get("message", event["error"])))
    choices = event.get("choices") or []
    text = (choices[0].get("delta") or {}).get("content") if choices else None
    return Piece(text or "", event.get("usage"))


def _whose(user: str | None) -> str:
    return f"&user={quote(user, safe='')}" if user else ""
