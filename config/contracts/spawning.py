"""Daughter tasks on the wire: what is to be run, how it stands, what it said and left (CONTRACT, sections 3 and 7)."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from config.contracts.base import Answer, Request, Timestamp

JobStatus = Literal["PENDING", "RUNNING", "DONE", "ERROR", "KILLED", "EXPIRED"]
DaughterStatus = Literal["spawned", "running", "restarting", "finished", "failed", "killed", "expired", "mutated"]
AttemptStatus = Literal["running", "success", "error", "timeout", "cancelled"]
TaskType = Literal["python", "shell", "tool"]
MutationKind = Literal["longer_limit", "smaller_task", "other_task", "other_provider", "fresh_start", "by_hand"]

LIVE_STATUSES: tuple[JobStatus, ...] = ("PENDING", "RUNNING")
MAX_CODE = 256 * 1024
_MAX_METADATA = 16 * 1024

SpawnId = Annotated[str, Field(pattern=r"^spawn-[0-9a-f]{8}$")]
Code = Annotated[str, Field(min_length=1, max_length=MAX_CODE)]
Name = Annotated[str, Field(max_length=128)]
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")]
Correlation = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]


class Limits(Request):
    """What one attempt may take; null: the setting's default, or for times the job's TTL. A daughter that wants more
    than the settings allow is refused. `cpu_sec` is time computed, `wall_sec` time passed; both end an attempt, the TTL
    ends the job."""

    cpu_sec: Annotated[float, Field(gt=0)] | None = None
    wall_sec: Annotated[float, Field(gt=0)] | None = None
    memory_mb: Annotated[int, Field(ge=16)] | None = None
    processes: Annotated[int, Field(ge=1)] | None = None
    disk_mb: Annotated[int, Field(ge=1)] | None = None
    output_kb: Annotated[int, Field(ge=1)] | None = None


class Work(Request):
    """What is to be run: `code` of the `task_type`, or `cmd`, a shell's line or a list of arguments.

    `code` of a tool is JSON: `{"tool": "…", "arguments": {…}}`.
    """

    code: Code | None = None
    cmd: Code | Annotated[list[Annotated[str, Field(max_length=8192)]], Field(min_length=1, max_length=256)] | None = (
        None
    )
    task_type: TaskType | None = None

    @model_validator(mode="after")
    def _one_thing(self) -> Work:
        if self.code is not None and self.cmd is not None:
            raise ValueError("give `cmd` or `code`, not both")
        if self.cmd is not None and self.task_type not in (None, "shell"):
            raise ValueError("`cmd` is run by the shell; what else is to be run is `code`")
        return self

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be run."""
        return self.code is None and self.cmd is None


class Subtask(Work):
    """A part of a job, run as a job of its own beside the others; the whole ends when all its parts have."""

    name: Name = ""
    max_retries: Annotated[int, Field(ge=0, le=10)] = 2
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _does_something(self) -> Subtask:
        if self.is_empty:
            raise ValueError("give `cmd` or `code`")
        return self


class SpawnOrder(Work):
    """`POST /spawn`: a daughter task.

    `ttl_seconds` is the life of the whole job, waiting and retries included. `max_retries` counts the tries after the
    first; `auto_retry` false: they are made by `POST /spawner/execute/{job_id}`. `alternatives` are other ways to the
    same end, taken in order by the retries after an error. `workspace` names a folder of the caller's that outlives
    the job; without one, each attempt has an empty folder. `dry_run` runs on a copy of it and shows what would change.
    `network` needs the operator's role. With `subtasks` alone the job is only the sum of its parts.
    """

    name: Name = ""
    intent: Annotated[str, Field(max_length=2000)] = ""
    ttl_seconds: Annotated[int, Field(ge=1, le=86_400)] = 300
    max_retries: Annotated[int, Field(ge=0, le=10)] = 2
    auto_retry: bool = True
    tool_allowlist: Annotated[list[Word], Field(max_length=64)] = Field(default_factory=list)
    parent_task_id: SpawnId | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    trace_id: Correlation | None = None
    subtasks: Annotated[list[Subtask], Field(max_length=32)] = Field(default_factory=list)
    alternatives: Annotated[list[Work], Field(max_length=10)] = Field(default_factory=list)
    limits: Limits = Limits()
    workspace: Word | None = None
    network: bool = False
    dry_run: bool = False

    @field_validator("metadata")
    @classmethod
    def _small(cls, value: dict[str, Any]) -> dict[str, Any]:
        return _not_too_large(value)

    @model_validator(mode="after")
    def _says_what_to_do(self) -> SpawnOrder:
        if self.is_empty and not self.subtasks:
            raise ValueError("give `cmd`, `code` or `subtasks`")
        if any(work.is_empty for work in self.alternatives):
            raise ValueError("each of `alternatives` needs `cmd` or `code`")
        return self


class DoorSpawn(Request):
    """`POST /vx11/spawn`: the same, as short as people write it."""

    task_type: TaskType
    code: Code
    ttl_seconds: Annotated[int, Field(ge=1, le=86_400)] = 3600
    max_retries: Annotated[int, Field(ge=0, le=10)] = 0
    metadata: dict[str, Any] = Field(default_factory=dict)
    correlation_id: Correlation | None = None

    @field_validator("metadata")
    @classmethod
    def _small(cls, value: dict[str, Any]) -> dict[str, Any]:
        return _not_too_large(value)

    @property
    def order(self) -> SpawnOrder:
        """What spawner is asked for."""
        return SpawnOrder(
            task_type=self.task_type,
            code=self.code,
            ttl_seconds=self.ttl_seconds,
            max_retries=self.max_retries,
            metadata=self.metadata,
            trace_id=self.correlation_id,
        )


class DoorSpawned(Answer):
    """What the door answers: `GET /vx11/result/{spawn_id}` tells the rest."""

    spawn_id: str
    spawn_uuid: str
    correlation_id: str
    status: JobStatus


class Spawned(DoorSpawned):
    """A job that was taken on. `attempt_id` is what its first try is called; a sum of parts has no try of its own."""

    daughter_id: str
    attempt_id: str
    name: str
    expires_at: Timestamp
    subtasks: list[str] = Field(default_factory=list)
    isolation: str


class Heartbeat(Request):
    """A daughter's, or its owner's, sign of life; `progress` from 0 to 1."""

    progress: Annotated[float, Field(ge=0, le=1)] | None = None
    note: Annotated[str, Field(max_length=1000)] = ""


class Completion(Request):
    """The end of a job as its owner says it; a process that still runs is ended."""

    status: Literal["DONE", "ERROR"] = "DONE"
    result: dict[str, Any] = Field(default_factory=dict)
    detail: Annotated[str, Field(max_length=2000)] = ""

    @field_validator("result")
    @classmethod
    def _small(cls, value: dict[str, Any]) -> dict[str, Any]:
        return _not_too_large(value)


class Mutation(Answer):
    """What a retry does otherwise than the try before it: `changes` names each thing with `[before, after]`."""

    kind: MutationKind
    because: str
    changes: dict[str, list[Any]] = Field(default_factory=dict)


class ChangedFile(Answer):
    """A file that a run changed, or in a dry run would have."""

    path: str
    change: str


class Attempt(Answer):
    """One try. `kind` is the verdict (exited, signal, timeout, cpu, memory, output, disk, processes, killed, refused;
    no_space where there was no room on the disk to begin; interrupted or stale where nobody saw the end); `isolation`
    is how it was kept apart. `output_truncated`: only its head and tail were kept. `changed_more` counts the changed
    files that the list has no room for; bytes of a name that are no UTF-8 are spelt out."""

    attempt_id: str
    daughter_id: str
    number: int
    status: AttemptStatus
    mutation: Mutation | None
    isolation: str
    limits: dict[str, Any]
    pid: int | None
    started_at: Timestamp
    heartbeat_at: Timestamp
    finished_at: Timestamp | None
    kind: str | None
    exit_code: int | None
    signal: int | None
    cpu_sec: float | None
    wall_sec: float | None
    max_rss_mb: float | None
    output_bytes: int
    output_truncated: bool
    changed_files: list[ChangedFile] | None
    changed_more: int = 0
    detail: str | None


class Daughter(Answer):
    """One life of a task. A retry with longer limits restarts it; one with another task `mutated` it, and its successor
    goes on as the next `generation`."""

    daughter_id: str
    generation: int
    predecessor_id: str | None
    status: DaughterStatus
    mutation: Mutation | None
    created_at: Timestamp
    finished_at: Timestamp | None


class Job(Answer):
    """A daughter task as lists show it. `phase` says more than `status`: queued, running, backoff (until
    `not_before`), by_hand (waits for `execute`), subtasks (its own work is done, parts still run), ended."""

    spawn_id: str
    spawn_uuid: str
    name: str
    user: str
    task_type: TaskType
    intent: str
    status: JobStatus
    phase: str
    parent_task_id: str | None
    root_task_id: str
    depth: int
    tries: int
    max_retries: int
    auto_retry: bool
    ttl_seconds: int
    dry_run: bool
    network: bool
    workspace: str | None
    isolation: str | None
    progress: float | None
    correlation_id: str
    created_at: Timestamp
    expires_at: Timestamp
    not_before: Timestamp | None
    started_at: Timestamp | None
    finished_at: Timestamp | None
    exit_code: int | None
    error: str | None


class JobDetail(Job):
    """One job, with its lives, its tries, its kin, and what it left. `output_tail` is the end of what its last try
    said; `changed_files` is null where nobody looked."""

    code: str | None
    metadata: dict[str, Any]
    tool_allowlist: list[str]
    daughters: list[Daughter]
    attempts: list[Attempt]
    ancestors: list[str]
    subtasks: list[Job]
    children: list[str]
    changed_files: list[ChangedFile] | None
    changed_more: int = 0
    result: dict[str, Any] | None
    output_tail: str


class Output(Answer):
    """What an attempt has said, from the byte `offset`; ask again from `next_offset` until it is `ended`.

    Of what is too much the head and the tail are kept: `omitted_bytes` were said between `offset` and where `text`
    begins. Bytes that are no UTF-8 show as replacement characters.
    """

    spawn_id: str
    attempt: int
    attempt_id: str | None
    job_status: JobStatus
    text: str
    offset: int
    omitted_bytes: int
    next_offset: int
    total_bytes: int
    ended: bool


class TidyWorkspaces(Request):
    """Remove the workspaces that nobody has used for VX11_SPAWNER_WORKSPACE_DAYS; only looked at unless `apply`."""

    apply: bool = False


class UnusedWorkspace(Answer):
    """A workspace that is past its term."""

    user: str
    name: str
    size_mb: float
    used_at: Timestamp


class WorkspacesTidied(Answer):
    """What is past its term, the longest unused first; `applied`: it is removed."""

    applied: bool
    days: int
    workspaces: list[UnusedWorkspace]


class Guard(Answer):
    """One promise of the isolation, by what it is kept here, and whether it is enforced."""

    promise: str
    by: str
    kept: bool


class SpawnerStatus(Answer):
    """How busy spawner is, how it keeps daughters apart (rung and level of the ladder, 3 is the strongest; `findings`:
    what was tried at start), and why there are so many `slots`."""

    isolation: str
    isolation_level: int
    guards: list[Guard]
    findings: list[str]
    running: int
    waiting: int
    slots: int
    slots_because: str


def _not_too_large(value: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(value)) > _MAX_METADATA:
        raise ValueError(f"more than {_MAX_METADATA} bytes as JSON")
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # it could be kept, but no answer could hold it
        raise ValueError("holds half a surrogate pair, which is no character") from None
    return value
