"""What every route of Switch asks for: the flows, and a caller who holds the right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from config.auth import Caller, Requires, Scope
from switch.flows.completions import Completions
from switch.flows.models import Models


@dataclass(frozen=True, slots=True)
class Flows:
    """What the routes call."""

    completions: Completions
    models: Models


def _flows(request: Request) -> Flows:
    return request.app.state.flows  # type: ignore[no-any-return]


TheFlows = Annotated[Flows, Depends(_flows)]
Chatter = Annotated[Caller, Depends(Requires(Scope.CHAT))]
Reader = Annotated[Caller, Depends(Requires(Scope.MODELS_READ))]
Operator = Annotated[Caller, Depends(Requires(Scope.MODELS_WRITE))]
