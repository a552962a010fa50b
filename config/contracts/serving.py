"""Models as Switch serves them: OpenAI's list, and what is in memory."""

from __future__ import annotations

from typing import Literal

from config.contracts.base import Answer


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


class ServedModel(Answer):
    """One model as Switch holds it; sizes in MiB. `progress` (0 to 1) is there while it loads."""

    name: str
    stage: Literal["asleep", "loading", "ready", "stopping", "cooling"]
    in_use: int
    waiting: int
    reserved_mb: int
    memory_mb: float | None
    pinned: bool
    progress: float | None
    failure: str | None


class ServedModels(Answer):
    """`GET /switch/models`: the ledger and every enabled model."""

    budget_mb: int
    reserved_mb: int
    models: list[ServedModel]


class QueueStatus(Answer):
    """`GET /switch/queue/status`: how much is being served and how much waits."""

    in_use: int
    waiting: int
    by_model: dict[str, int]
