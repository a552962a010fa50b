"""Models as Switch serves them: OpenAI's list, and what is in memory."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from config.contracts.base import Answer, Request, Timestamp


class ModelCard(Answer):
    """One model as `GET /v1/models` lists it (OpenAI's shape; `created` is a Unix time in seconds)."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "vx11"


class ModelCards(Answer):
    """`GET /v1/models`."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


class ModelLoad(Request):
    """How to have a model in memory. `ttl_sec`: how long it may be idle there from now on; null: as all others."""

    ttl_sec: Annotated[float, Field(ge=0)] | None = None


class ServedModel(Answer):
    """One model as Switch holds it; sizes in MiB. `progress` (0 to 1) is there while it loads.

    `ttl_sec` is its own idle time, null: that of all. `drains` says why its worker ends once nobody uses it.
    """

    name: str
    stage: Literal["asleep", "loading", "ready", "stopping", "cooling"]
    in_use: int
    waiting: int
    reserved_mb: int
    memory_mb: float | None
    pinned: bool
    progress: float | None
    failure: str | None
    ttl_sec: float | None = None
    drains: str | None = None


class ServedModels(Answer):
    """`GET /switch/models`: the ledger and every enabled model."""

    budget_mb: int
    reserved_mb: int
    models: list[ServedModel]


class QueueEntry(Answer):
    """One request that is served or waits. `place` of `of` and the predicted `seconds` to its turn while it waits."""

    user: str
    model: str
    priority: int
    state: Literal["queued", "loading", "running"]
    place: int | None
    of: int | None
    seconds: float | None
    waited_sec: float
    correlation_id: str


class QueueStatus(Answer):
    """How much is being served and how much waits; by model, what waits."""

    in_use: int
    waiting: int
    by_model: dict[str, int]


class QueueReport(QueueStatus):
    """`GET /switch/queue/status`: `entries` are the caller's own requests, and everybody's for an operator."""

    entries: list[QueueEntry]


class WarmupOrder(Request):
    """Which models to warm up; null: every enabled one."""

    models: Annotated[list[str], Field(min_length=1, max_length=256)] | None = None


class WarmedModel(Answer):
    """How the warm-up of one model went: seconds of bringing it into memory, and of one short inference there."""

    name: str
    state: Literal["pending", "running", "ok", "failed"]
    load_sec: float | None = None
    inference_sec: float | None = None
    detail: str | None = None


class WarmupStatus(Answer):
    """`GET /switch/warmup/status`: the last warm-up, or the one under way."""

    state: Literal["idle", "running", "done"]
    started_at: Timestamp | None
    finished_at: Timestamp | None
    models: list[WarmedModel]
