"""The HTTP face of spawner (CONTRACT, section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from config.app import House
from config.auth import Caller, Requires, Scope
from config.contracts.base import Page
from config.contracts.spawning import (
    Completion,
    Heartbeat,
    Job,
    JobDetail,
    JobStatus,
    Output,
    Spawned,
    SpawnerStatus,
    SpawnOrder,
    TidyWorkspaces,
    WorkspacesTidied,
)
from spawner.flows.jobs import Jobs
from spawner.flows.outputs import Outputs
from spawner.flows.state import State


@dataclass(frozen=True, slots=True)
class Flows:
    """What the routes call."""

    house: House
    jobs: Jobs
    outputs: Outputs
    state: State


async def _flows(request: Request) -> Flows:
    flows: Flows = request.app.state.flows
    return flows


Room = Annotated[Flows, Depends(_flows)]
Reader = Annotated[Caller, Depends(Requires(Scope.JOBS_READ))]
Writer = Annotated[Caller, Depends(Requires(Scope.JOBS_WRITE))]
Admin = Annotated[Caller, Depends(Requires(Scope.MAINTENANCE))]
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=512)]
JobId = Annotated[
    str, Path(pattern=r"^(spawn-[0-9a-f]{8}|[0-9a-f-]{36})$", description="`spawn-…`, or the job's UUID.")
]

router = APIRouter(tags=["jobs"])


@router.post(
    "/spawner/spawn",
    summary="Run a daughter task in isolation: 202 and a job",
    description="The same as `POST /spawn`, under the path that the door passes on.",
    status_code=202,
    response_model=Spawned,
)
@router.post(
    "/spawn", summary="Run a daughter task in isolation: 202 and a job", status_code=202, response_model=Spawned
)
async def spawn(room: Room, caller: Writer, request: Request, body: SpawnOrder) -> Response:
    return await room.house.idempotency.once_within(
        request, caller, 202, lambda keep: room.jobs.spawn(caller, body, keep)
    )


@router.get("/spawner/status", summary="How busy spawner is, and how it keeps daughters apart")
async def status(room: Room, _caller: Reader) -> SpawnerStatus:
    return await room.state.status()


@router.post(
    "/spawner/workspaces/tidy",
    summary="Which workspaces nobody has used for long; with `apply` they are removed",
)
async def tidy_workspaces(room: Room, caller: Admin, body: TidyWorkspaces | None = None) -> WorkspacesTidied:
    return await room.state.tidy_workspaces(caller, apply=body is not None and body.apply)


@router.get(
    "/spawner/jobs", summary="Jobs, newest first: one's own; for operators, on record, another's or everybody's"
)
async def jobs(
    room: Room,
    caller: Reader,
    limit: Limit = 50,
    cursor: Cursor = None,
    status: JobStatus | None = None,
    user: Annotated[
        str | None,
        Query(
            max_length=128,
            description="Another user's, or `*` for everybody's: for operators, each page on record; else 404.",
        ),
    ] = None,
) -> Page[Job]:
    return await room.jobs.page(caller, limit, cursor, status, user)


@router.get("/spawner/jobs/{job_id}", summary="One job: its lives, tries, mutations, kin and result; another's is 404")
async def job(room: Room, caller: Reader, job_id: JobId) -> JobDetail:
    return await room.jobs.job(caller, job_id)


@router.get(
    "/spawner/jobs/{job_id}/output",
    summary="What a job has said, also while it runs",
    description="With `Accept: text/event-stream`: events `output` as it speaks, through all its tries, and `ended` at "
    "last; `Last-Event-ID` resumes.",
    response_model=Output,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def output(
    request: Request,
    room: Room,
    caller: Reader,
    job_id: JobId,
    attempt: Annotated[int | None, Query(ge=1, le=1000, description="Which try; the newest unless given.")] = None,
    offset: Annotated[int, Query(ge=0, description="The byte to read from.")] = 0,
) -> Response:
    if "text/event-stream" not in request.headers.get("accept", ""):
        piece = await room.outputs.piece(caller, job_id, attempt, offset)
        return Response(piece.model_dump_json(), media_type="application/json")
    await room.outputs.ensure_visible(caller, job_id)
    return StreamingResponse(
        room.outputs.follow(caller, job_id, request.headers.get("last-event-id", "")),
        media_type="text/event-stream",
        headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
    )


@router.post("/spawner/jobs/{job_id}/kill", summary="End a job, all it started and all jobs that descend from it")
async def kill(room: Room, caller: Writer, job_id: JobId) -> JobDetail:
    return await room.jobs.kill(caller, job_id)


@router.post(
    "/spawner/execute/{job_id}",
    summary="Run a job now: no more waiting for a retry, or one more try of what failed",
    description="What is running goes on; what is done is 409.",
    status_code=202,
    response_model=JobDetail,
)
async def execute(room: Room, caller: Writer, request: Request, job_id: JobId) -> Response:
    return await room.house.idempotency.once(request, caller, 202, lambda: room.jobs.execute(caller, job_id))


@router.post("/spawner/heartbeat/{job_id}", summary="A sign of life of a running job, and how far it is")
async def heartbeat(room: Room, caller: Writer, job_id: JobId, body: Heartbeat | None = None) -> Job:
    return await room.jobs.heartbeat(caller, job_id, body or Heartbeat())


@router.post("/spawner/complete/{job_id}", summary="Say that a job has ended, and with what; its process is ended")
async def complete(room: Room, caller: Writer, job_id: JobId, body: Completion | None = None) -> JobDetail:
    return await room.jobs.complete(caller, job_id, body or Completion())
