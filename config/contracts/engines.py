"""Engines (a model at a provider, `provider/model`), who of them would answer, and how they have done."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from config.contracts.base import Answer, Request, Timestamp
from config.contracts.prompts import TaskType
from config.contracts.weather import ControlAnswer, Fluzo, ProfileName

EngineName = Annotated[str, Field(min_length=1, max_length=256)]


class EngineScore(Answer):
    """One engine's score, 0 to 1, with the terms it is the weighted sum of; `excluded`: why it would not be asked."""

    engine: str
    score: float
    terms: dict[str, float]
    failed_lately: bool
    excluded: str | None


class SelectEngine(Request):
    """`POST /switch/hermes/select_engine`. `available_engines` keeps to those (`provider/model` or a provider's name);
    `query` is the prompt, whose length counts for costs."""

    query: Annotated[str, Field(min_length=1)]
    available_engines: Annotated[list[EngineName], Field(max_length=1000)] | None = None
    task_type: TaskType = "chat"


class SelectedEngine(Answer):
    """Who would answer now. `healthy_engines` may be asked, best first; `scores` are of all, those left out too."""

    engine: str
    profile: ProfileName
    healthy_engines: list[str]
    scores: list[EngineScore]


class EngineResult(Request):
    """`POST /switch/hermes/record_result`: how an engine did when somebody else used it."""

    engine: EngineName
    success: bool
    latency_ms: Annotated[float, Field(ge=0, le=3_600_000, allow_inf_nan=False)] | None = None


class EngineHealth(Answer):
    """How an engine has done. `success` (0 to 1) weighs the last minutes most; `latency_ms` null: it never answered."""

    engine: str
    kind: Literal["local", "endpoint", "program"]
    ready: bool
    success: float
    latency_ms: float | None
    requests: int
    failures: int
    breaker: Literal["closed", "open"]
    excluded: str | None
    retry_after_sec: float | None


class EnginesStatus(Answer):
    """`GET /switch/hermes/status`."""

    healthy: int
    engines: list[EngineHealth]


class BudgetState(Answer):
    """What a provider has cost, and may cost (null: no limit), in the currency its prices are in."""

    spent_day: float
    spent_month: float
    budget_day: float | None
    budget_month: float | None
    exhausted: str | None
    resets_at: Timestamp | None


class ProviderCard(Answer):
    """One provider. `url` is there for endpoints; keys are never shown. Prices are for a million tokens."""

    name: str
    kind: Literal["local", "endpoint", "program"]
    url: str | None
    models: list[str]
    has_key: bool
    price_in: float | None
    price_out: float | None
    budget: BudgetState
    excluded: str | None


class ProviderCards(Answer):
    """`GET /switch/providers`. `trouble` says why the providers' file is not used, if it is not."""

    providers: list[ProviderCard]
    trouble: str | None


class SwitchContext(Answer):
    """`GET /switch/context`: what a prompt would meet now. `would_answer` is null where nobody would."""

    mode: ControlAnswer
    fluzo: Fluzo
    would_answer: str | None
    why: str
    scores: list[EngineScore]
    providers: list[ProviderCard]
    in_use: int
    waiting: int
