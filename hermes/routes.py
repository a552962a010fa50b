"""The HTTP face of hermes (CONTRACT, section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from config.app import House
from config.auth import Caller, Requires, Scope
from config.contracts.base import Page
from config.contracts.discovery import Discovery, DiscoveryOrder
from config.contracts.models import (
    Available,
    Catalogue,
    DownloadJob,
    LocalModel,
    ModelPatch,
    ModelPull,
    ModelRegister,
    PullPlan,
    Resources,
    ScanOrder,
    ScanReport,
)
from config.contracts.tools import EngineChoice, EngineQuery, Execution, ExecutionResult, Tool, ToolPatch, Tools
from hermes.flows.discover import Discoveries
from hermes.flows.engines import Engines
from hermes.flows.plans import Plans
from hermes.flows.programs import Programs
from hermes.flows.pulls import Pulls
from hermes.flows.registry import Registry
from hermes.flows.scans import Scans


@dataclass(frozen=True, slots=True)
class Flows:
    """What the routes call."""

    house: House
    pulls: Pulls
    plans: Plans
    registry: Registry
    scans: Scans
    programs: Programs
    engines: Engines
    discoveries: Discoveries


async def _flows(request: Request) -> Flows:
    flows: Flows = request.app.state.flows
    return flows


Room = Annotated[Flows, Depends(_flows)]
Reader = Annotated[Caller, Depends(Requires(Scope.MODELS_READ))]
Writer = Annotated[Caller, Depends(Requires(Scope.MODELS_WRITE))]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=512)]

router = APIRouter(prefix="/hermes", tags=["models"])


@router.get("/resources", summary="Disk space, and what models, downloads and quarantine take of it")
async def resources(room: Room, _caller: Reader) -> Resources:
    return await room.registry.resources()


@router.get("/models", summary="Registered models, newest first")
async def models(room: Room, _caller: Reader, limit: Limit = 50, cursor: Cursor = None) -> Page[LocalModel]:
    return await room.registry.page(limit, cursor)


@router.get("/models/{name}", summary="One registered model")
async def model(room: Room, _caller: Reader, name: str) -> LocalModel:
    return await room.registry.model(name)


@router.get("/catalog", summary="Models that can be pulled by name")
async def catalogue(room: Room, _caller: Reader) -> Catalogue:
    return await room.registry.catalogue()


@router.get("/available", summary="What can be served now, and what could be pulled")
async def available(room: Room, _caller: Reader) -> Available:
    programs = await room.programs.tools()
    return await room.registry.available([tool for tool in programs.items if tool.enabled and tool.state == "ready"])


@router.post(
    "/models/pull",
    summary="Bring a model here: 202 and a job; the same model asked for twice is one job",
    description="With `apply` false: 200 and the plan, what would be fetched from where and whether it fits.",
    status_code=202,
    response_model=DownloadJob,
    responses={200: {"model": PullPlan}},
)
async def pull(room: Room, caller: Writer, request: Request, body: ModelPull) -> Response:
    if not body.apply:
        plan = await room.plans.plan(body)
        return Response(plan.model_dump_json(), media_type="application/json")
    return await room.house.idempotency.once_within(
        request, caller, 202, lambda keep: room.pulls.pull(caller, body, keep)
    )


@router.post(
    "/models/register",
    summary="Register a file that lies in the models folder",
    status_code=201,
    response_model=LocalModel,
)
async def register(room: Room, caller: Writer, request: Request, body: ModelRegister) -> Response:
    return await room.house.idempotency.once(request, caller, 201, lambda: room.registry.register(caller, body))


@router.patch("/models/{name}", summary="Enable, disable, re-tag, or change what a model is for")
async def patch(room: Room, caller: Writer, name: str, body: ModelPatch) -> LocalModel:
    return await room.registry.patch(caller, name, body)


@router.delete(
    "/models/{name}",
    summary="Remove a model and its file",
    description="A model that Switch has loaded goes on serving until Switch has seen the event `model.removed`.",
)
async def remove(room: Room, caller: Writer, name: str) -> LocalModel:
    return await room.registry.remove(caller, name)


@router.post(
    "/scan",
    summary="Look through the models folder: register, put aside, mark what is gone; honours Idempotency-Key",
    response_model=ScanReport,
)
async def scan(room: Room, caller: Writer, request: Request, body: ScanOrder | None = None) -> Response:
    order = body or ScanOrder()
    return await room.house.idempotency.once(request, caller, 200, lambda: room.scans.scan(caller, order))


@router.get("/jobs", summary="Download jobs, newest first")
async def jobs(room: Room, caller: Reader, limit: Limit = 50, cursor: Cursor = None) -> Page[DownloadJob]:
    return await room.pulls.jobs(caller, limit, cursor)


@router.get("/jobs/{job_id}", summary="One download job: bytes, rate, time left")
async def job(room: Room, caller: Reader, job_id: str) -> DownloadJob:
    return await room.pulls.job(caller, job_id)


@router.post("/jobs/{job_id}/cancel", summary="Stop a download; what has arrived is kept for the next pull")
async def cancel(room: Room, caller: Writer, job_id: str) -> DownloadJob:
    return await room.pulls.cancel(caller, job_id)


@router.get("/tools", summary="Command-line AI programs: which there are, how far each got, which may be asked")
async def tools(room: Room, _caller: Reader) -> Tools:
    return await room.programs.tools()


@router.get("/tools/{name}", summary="One command-line program")
async def tool(room: Room, _caller: Reader, name: str) -> Tool:
    return await room.programs.tool(name)


@router.patch("/tools/{name}", summary="Let a command-line program be asked, or not")
async def patch_tool(room: Room, caller: Writer, name: str, body: ToolPatch) -> Tool:
    return await room.programs.patch(caller, name, body)


@router.post("/tools/{name}/onboard", summary="Look at one program: its version, whether it is signed in, its models")
async def onboard(room: Room, _caller: Writer, name: str) -> Tool:
    (found,) = await room.programs.onboard([name])
    return found


@router.post("/get-engine", summary="Which model or program of this machine fits a task, and why")
async def get_engine(room: Room, _caller: Reader, body: EngineQuery) -> EngineChoice:
    return await room.engines.choose(body)


@router.post(
    "/execute",
    summary="Run one enabled command-line program by its template",
    description="Never through a shell, in an empty folder, bounded in time and output. Audited.",
    response_model=ExecutionResult,
)
async def execute(room: Room, caller: Writer, request: Request, body: Execution) -> Response:
    return await room.house.idempotency.once(request, caller, 200, lambda: room.programs.execute(caller, body))


@router.post(
    "/discover",
    summary="Look for models and programs here, in the catalogue, on the Hub and on the PATH",
    description="A plan with its digest; `apply` with that digest carries it out, unless what is found has changed.",
)
async def discover(room: Room, caller: Writer, body: DiscoveryOrder) -> Discovery:
    return await room.discoveries.discover(caller, body)
