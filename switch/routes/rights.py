"""What every route of Switch asks for: the flows, and a caller who holds the right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from config.app import House
from config.auth import Caller, Requires, Scope
from switch.flows.chats import Chats
from switch.flows.completions import Completions
from switch.flows.engines import Engines
from switch.flows.ledger import Ledger
from switch.flows.models import Models
from switch.flows.news import News
from switch.flows.providers import Providers
from switch.flows.tasks import Tasks
from switch.flows.warmup import Warmup
from switch.flows.weather import Weather


@dataclass(frozen=True, slots=True)
class Flows:
    """The use cases of Switch: what the routes call, and what `app.py` keeps running."""

    house: House
    ledger: Ledger
    providers: Providers
    completions: Completions
    models: Models
    warmup: Warmup
    news: News
    chats: Chats
    tasks: Tasks
    engines: Engines
    weather: Weather


async def _flows(request: Request) -> Flows:
    return request.app.state.flows  # type: ignore[no-any-return]


TheFlows = Annotated[Flows, Depends(_flows)]
Chatter = Annotated[Caller, Depends(Requires(Scope.CHAT))]
Reader = Annotated[Caller, Depends(Requires(Scope.MODELS_READ))]
Operator = Annotated[Caller, Depends(Requires(Scope.MODELS_WRITE))]
