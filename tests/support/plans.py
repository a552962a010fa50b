"""Plans as rows, and peers that count what steps have them do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import httpx
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from sqlalchemy import select

from config.app import House, create_app
from config.auth import Caller, Requires, Role, Scope
from config.clients import IF_BEGUN
from config.contracts.base import Page
from config.contracts.models import DownloadJob, LocalModel, ModelPatch, ModelPull, ScanOrder, ScanReport
from config.contracts.plans import Risk, Status
from config.contracts.serving import ServedModel, ServedModels
from config.contracts.spawning import Job, JobDetail, Spawned, SpawnOrder
from config.db import Database
from config.db_schema import EventRow, new_id
from config.errors import NotFound
from config.idempotency import Keep
from config.services import FLEET
from madre import plan as life
from madre.actions import action_named
from madre.plan import Asked, Plan, Step
from madre.store import plans

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
Told = tuple[str, Mapping[str, Any]]
_JobReader = Annotated[Caller, Depends(Requires(Scope.JOBS_READ))]
_JobWriter = Annotated[Caller, Depends(Requires(Scope.JOBS_WRITE))]
_ModelReader = Annotated[Caller, Depends(Requires(Scope.MODELS_READ))]
_ModelWriter = Annotated[Caller, Depends(Requires(Scope.MODELS_WRITE))]


def running_plan(*told: Told, user: str = "ana", role: Role = Role.OPERATOR, session_id: str | None = None) -> Plan:
    """A plan of these actions, let run; nothing of it is done."""
    steps = tuple(_step(number, action, arguments) for number, (action, arguments) in enumerate(told, 1))
    plan = Plan(
        plan_id=new_id("plan"),
        asked=Asked(user, role, "a sentence", "test", "c-1", session_id),
        steps=steps,
        risk=Risk.MED,
        reasons=(),
        status=Status.WAITING,
        observed={},
        created_at=NOW,
    )
    return life.started(plan, NOW, user)


def with_step(plan: Plan, number: int, **changes: Any) -> Plan:
    """The plan, with one step otherwise."""
    after = replace(plan.step(number), **changes)
    return replace(plan, steps=(*plan.steps[: number - 1], after, *plan.steps[number:]))


def keep(db: Database, *kept: Plan) -> None:
    """Have these plans be rows."""
    with db.write() as session:
        for plan in kept:
            plans.keep_plan(session, plan, NOW)


def kept(db: Database, plan_id: str) -> Plan:
    """The plan as its rows are now."""
    with db.read() as session:
        plan = plans.plan(session, plan_id)
    assert plan is not None
    return plan


def _step(number: int, name: str, arguments: Mapping[str, Any]) -> Step:
    action = action_named(name)
    told = action.arguments.model_validate(dict(arguments)).model_dump(mode="json")
    return Step(number=number, action=name, step_type=action.step_type, arguments=told, risk=action.risk)


@dataclass
class Ledger:
    """What peers were asked, and what they did: `effects` by the key that asked for it.

    `moment` is called by name ("spawn", "spawned", "look", "kill") while a peer is in the middle of something. While
    there is a `silence`, nobody is answered whom a peer has done something for.
    """

    effects: Counter[str] = field(default_factory=Counter)
    asked: list[tuple[str, str]] = field(default_factory=list)
    jobs: dict[str, int] = field(default_factory=dict)  # looks that are left until it is done
    killed: list[str] = field(default_factory=list)
    enabled: dict[str, bool] = field(default_factory=dict)
    patched: list[tuple[str, bool]] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    looks: int = 1
    ends: str = "DONE"
    says: str | None = None
    moment: Callable[[str, str], None] = lambda _what, _key: None
    silence: asyncio.Event | None = None
    begun_by: str = "c-1"  # the correlation id that downloads were begun under

    async def answers(self) -> None:
        """Return once whoever waits for an answer may have it."""
        if self.silence is not None:
            await self.silence.wait()

    def begun(self, key: str, name: str) -> None:
        """Something goes on now."""
        self.effects[key] += 1
        self.jobs[name] = self.looks

    def asked_for(self, request: Request, what: str) -> str:
        """The key of a request that asks to begin something, or asks what was begun with it."""
        key = request.headers["idempotency-key"]
        only_asks = IF_BEGUN in request.headers
        self.asked.append((f"{what}?" if only_asks else what, key))
        if not only_asks:
            self.moment(what, key)
        return key


def spawner_room(house: House, ledger: Ledger) -> FastAPI:
    """Spawner, as far as madre's steps ask of it: keyed like the real one, and nothing runs."""
    router = APIRouter()

    @router.post("/spawn")
    async def spawn(request: Request, body: SpawnOrder, caller: _JobWriter) -> Response:
        key = ledger.asked_for(request, "spawn")
        spawn_id = f"spawn-{len(ledger.jobs) + 1:08x}"

        async def act(keep: Keep) -> Spawned:
            answer = Spawned.model_validate({**_job(spawn_id, "PENDING"), **_LIFE})
            await house.db.writing(keep, answer)
            ledger.begun(key, spawn_id)
            await ledger.answers()
            return answer

        answer = await house.idempotency.once_within(request, caller, 202, act)
        ledger.moment("spawned", key)
        return answer

    @router.get("/spawner/jobs/{spawn_id}")
    async def job(spawn_id: str, caller: _JobReader) -> JobDetail:
        ledger.moment("look", spawn_id)
        if spawn_id not in ledger.jobs:
            raise NotFound("no such job")
        ledger.jobs[spawn_id] -= 1
        over = ledger.jobs[spawn_id] < 0 or spawn_id in ledger.killed
        status = "KILLED" if spawn_id in ledger.killed else ledger.ends if over else "RUNNING"
        return JobDetail.model_validate({**_job(spawn_id, status), "error": ledger.says, **_DETAIL})

    @router.post("/spawner/jobs/{spawn_id}/kill")
    async def kill(spawn_id: str, caller: _JobWriter) -> Job:
        ledger.moment("kill", spawn_id)
        ledger.killed.append(spawn_id)
        return Job.model_validate(_job(spawn_id, "KILLED"))

    return create_app(house, [router])


def hermes_room(house: House, ledger: Ledger) -> FastAPI:
    """Hermes, as far as madre's steps ask of it; no model is brought anywhere."""
    router = APIRouter(prefix="/hermes")

    @router.get("/models")
    async def models(caller: _ModelReader) -> Page[LocalModel]:
        ledger.asked.append(("models", ""))
        return Page(items=[LocalModel.model_validate(_model(name, on)) for name, on in ledger.enabled.items()])

    @router.get("/models/{name}")
    async def model(name: str, caller: _ModelReader) -> LocalModel:
        if name not in ledger.enabled:
            raise NotFound(f"There is no model {name!r}.")
        return LocalModel.model_validate(_model(name, ledger.enabled[name]))

    @router.api_route("/models/{name}", methods=["PATCH"])
    async def change(name: str, body: ModelPatch, caller: _ModelWriter) -> LocalModel:
        assert body.enabled is not None
        assert body.model_fields_set == {"enabled"}
        ledger.moment("patch", name)
        ledger.enabled[name] = body.enabled
        ledger.patched.append((name, body.enabled))
        await ledger.answers()
        return LocalModel.model_validate(_model(name, body.enabled))

    @router.post("/models/pull")
    async def pull(request: Request, body: ModelPull, caller: _ModelWriter) -> Response:
        key = ledger.asked_for(request, "pull")
        job_id = f"job-{len(ledger.jobs) + 1}"

        async def act(keep: Keep) -> DownloadJob:
            answer = DownloadJob.model_validate(_download(job_id, "PENDING"))
            await house.db.writing(keep, answer)
            ledger.begun(key, job_id)
            await ledger.answers()
            return answer

        answer = await house.idempotency.once_within(request, caller, 202, act)
        ledger.moment("pulled", key)
        return answer

    @router.get("/jobs/{job_id}")
    async def job(job_id: str, caller: _ModelReader) -> DownloadJob:
        ledger.moment("look", job_id)
        ledger.jobs[job_id] -= 1
        over = "CANCELLED" if job_id in ledger.killed else "DONE" if ledger.jobs[job_id] < 0 else None
        return DownloadJob.model_validate(_download(job_id, over or "RUNNING", ledger.begun_by))

    @router.post("/jobs/{job_id}/cancel")
    async def cancel(job_id: str, caller: _ModelWriter) -> DownloadJob:
        ledger.moment("cancel", job_id)
        ledger.killed.append(job_id)
        return DownloadJob.model_validate(_download(job_id, "CANCELLED", ledger.begun_by))

    _scans(router, house, ledger)
    return create_app(house, [router])


def _scans(router: APIRouter, house: House, ledger: Ledger) -> None:
    @router.post("/scan")
    async def scan(request: Request, body: ScanOrder, caller: _ModelWriter) -> Response:
        key = ledger.asked_for(request, "scan")

        async def act() -> ScanReport:
            ledger.effects[key] += 1
            return ScanReport.model_validate({**_SCANNED, "known": ledger.effects.total()})

        return await house.idempotency.once(request, caller, 200, act)


def switch_room(house: House, ledger: Ledger) -> FastAPI:
    """Switch, as far as madre's steps ask of it; no model is in any memory."""
    router = APIRouter(prefix="/switch/models")

    @router.get("")
    async def models(caller: _ModelReader) -> ServedModels:
        served = [ServedModel.model_validate(_served(name)) for name in ledger.loaded]
        return ServedModels(budget_mb=1, reserved_mb=0, models=served)

    @router.post("/{name}/load")
    async def load(name: str, caller: _ModelWriter) -> ServedModel:
        ledger.loaded.append(name)
        await ledger.answers()
        return ServedModel.model_validate(_served(name))

    @router.post("/{name}/unload")
    async def unload(name: str, caller: _ModelWriter) -> ServedModel:
        ledger.loaded.remove(name)
        return ServedModel.model_validate({**_served(name), "stage": "stopping"})

    return create_app(house, [router])


class Peers(httpx.AsyncBaseTransport):
    """Calls to services that are given as apps reach these; what is left goes to `others`."""

    def __init__(self, apps: Mapping[str, FastAPI], others: httpx.AsyncBaseTransport) -> None:
        self._apps: dict[int, httpx.AsyncBaseTransport] = {
            FLEET[name].port: httpx.ASGITransport(app) for name, app in apps.items()
        }
        self._others = others
        self.away: set[int] = set()

    def reached_by(self, port: int, transport: httpx.AsyncBaseTransport) -> None:
        """Have whoever listens on the port reached in another way."""
        self._apps[port] = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as whoever listens on the port; nobody does on those that are `away`."""
        port = request.url.port or 0
        if port in self.away:
            raise httpx.ConnectError("nobody there")
        is_vital = request.url.path in ("/health", "/ready", "/metrics")
        return await (self._others if is_vital else self._apps.get(port, self._others)).handle_async_request(request)


def after(seconds: float) -> datetime:
    """So long after the moment at which plans of tests are made."""
    return NOW + timedelta(seconds=seconds)


def events_of(db: Database, plan_id: str) -> list[str]:
    """The types of the events that tell of a plan, in order."""
    with db.read() as session:
        rows = session.scalars(select(EventRow).order_by(EventRow.id))
        return [row.type for row in rows if row.data.get("plan_id") == plan_id]


def _job(spawn_id: str, status: str) -> dict[str, Any]:
    return {
        "spawn_id": spawn_id, "spawn_uuid": spawn_id, "name": "", "user": "ana", "task_type": "python", "intent": "",
        "status": status, "phase": "ended", "parent_task_id": None, "root_task_id": spawn_id, "depth": 0, "tries": 1,
        "max_retries": 0, "auto_retry": True, "ttl_seconds": 60, "dry_run": False, "network": False, "workspace": None,
        "isolation": "none", "progress": None, "correlation_id": "c", "created_at": NOW, "expires_at": NOW,
        "not_before": None, "started_at": None, "finished_at": None, "exit_code": 0, "error": None,
    }  # fmt: skip


_LIFE: dict[str, Any] = {"daughter_id": "d", "attempt_id": "a", "subtasks": []}
_DETAIL: dict[str, Any] = {
    "code": None, "metadata": {}, "tool_allowlist": [], "daughters": [], "attempts": [], "ancestors": [],
    "subtasks": [], "children": [], "changed_files": None, "result": None, "output_tail": "hello\n",
}  # fmt: skip

_SCANNED: dict[str, Any] = {
    "registered": [], "changed": [], "quarantined": [], "missing": [], "restored": [], "busy": [], "ignored": [],
    "leftovers_removed": 0,
}  # fmt: skip


def _model(name: str, enabled: bool) -> dict[str, Any]:
    return {
        "name": name, "engine": "llama.cpp", "path": f"{name}.gguf", "size_bytes": 1, "sha256": "0" * 64,
        "task_type": "chat", "max_context": 1, "enabled": enabled, "last_used_at": None, "usage_count": 0,
        "compatibility": "ok", "tags": [], "meta_info": {}, "created_at": NOW, "updated_at": NOW,
    }  # fmt: skip


def _served(name: str) -> dict[str, Any]:
    return {
        "name": name, "stage": "ready", "in_use": 0, "waiting": 0, "reserved_mb": 1, "memory_mb": 1.0, "pinned": False,
        "progress": None, "failure": None,
    }  # fmt: skip


def _download(job_id: str, state: str, begun_by: str = "c-1") -> dict[str, Any]:
    return {
        "job_id": job_id, "name": "smollm2", "source": "pypi:x", "revision": None, "state": state, "phase": "finished",
        "bytes_done": 1, "bytes_total": 1, "rate_bytes_sec": None, "eta_sec": None, "requested_by": "ana",
        "correlation_id": begun_by, "created_at": NOW, "started_at": None, "finished_at": None, "error": None,
    }  # fmt: skip
