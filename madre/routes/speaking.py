"""HTTP of what is said to madre: chat, intents, conversations, autonomy (CONTRACT, section 5)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response

from config.auth import Caller, Requires, Scope
from config.contracts.asking import CorrelationId, IntentAnswer, IntentOrder
from config.contracts.autonomy import AutonomyStart, AutonomyState, AutonomyStop
from config.contracts.conversations import ChatAnswer, ChatMessage, SessionId, ShownConversation
from madre.flows.speaking import Speaking

speaking = APIRouter(prefix="/madre", tags=["conversations"])
autonomy = APIRouter(prefix="/madre/autonomous", tags=["autonomy"])


async def _speaking(request: Request) -> Speaking:
    return request.app.state.speaking  # type: ignore[no-any-return]


Flows = Annotated[Speaking, Depends(_speaking)]
Chatter = Annotated[Caller, Depends(Requires(Scope.CHAT))]
Overseer = Annotated[Caller, Depends(Requires(Scope.AUTONOMY))]
Name = Annotated[SessionId, Path()]
Other = Annotated[str | None, Query(max_length=128, description="Another user's: for admins, and on record; else 404.")]


@speaking.post(
    "/chat",
    response_model=ChatAnswer,
    summary="Say something: an order becomes a plan, all else is answered by a model, or `degraded` says why not",
)
async def chat(request: Request, body: ChatMessage, flows: Flows, caller: Chatter) -> Response:
    return await flows.once(request, caller, 200, lambda: flows.asking.chat(body, caller))


@speaking.post(
    "/intent",
    response_model=IntentAnswer,
    summary="An intent: a sentence, a registered action by name, or a task for a daughter",
)
async def intent(request: Request, body: IntentOrder, flows: Flows, caller: Chatter) -> Response:
    return await flows.once(request, caller, 200, lambda: flows.asking.ask(body, caller))


@speaking.get("/intent/{correlation_id}", summary="How an intent stands, by its correlation id; another's is 404")
async def result(
    correlation_id: Annotated[CorrelationId, Path()], flows: Flows, caller: Chatter, user: Other = None
) -> IntentAnswer:
    return await flows.asking.result(correlation_id, caller, user)


@speaking.get("/sessions/{session_id}", summary="A conversation as it is remembered; another's is 404")
async def conversation(session_id: Name, flows: Flows, caller: Chatter, user: Other = None) -> ShownConversation:
    return await flows.asking.conversation(session_id, caller, user)


@speaking.delete("/sessions/{session_id}", status_code=204, summary="Forget one's own conversation at once")
async def forget(session_id: Name, flows: Flows, caller: Chatter) -> None:
    await flows.asking.forget(session_id, caller)


@autonomy.get("", summary="Whether madre acts by herself, her budget, and what each tick did or would have done")
async def state(
    flows: Flows,
    _: Overseer,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
    cursor: str | None = None,
) -> AutonomyState:
    return await flows.autonomy.state(limit, cursor)


@autonomy.post("/start", summary="Have madre look after the fleet by herself; in shadow unless told otherwise")
async def start(
    flows: Flows, caller: Overseer, body: Annotated[AutonomyStart, Body(default_factory=AutonomyStart)]
) -> AutonomyState:
    return await flows.autonomy.start(body, caller)


@autonomy.post("/stop", summary="Have madre act only when asked; stopping again changes nothing")
async def stop(
    flows: Flows, caller: Overseer, body: Annotated[AutonomyStop, Body(default_factory=AutonomyStop)]
) -> AutonomyState:
    return await flows.autonomy.stop(body, caller)
