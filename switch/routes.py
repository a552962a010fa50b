"""HTTP of Switch: OpenAI's paths and its own."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from config.auth import Caller, Requires, Scope
from config.contracts.serving import ModelCard, ModelCards, QueueStatus, ServedModel, ServedModels
from config.streaming import Streamed
from switch.flows import Flows


def _flows(request: Request) -> Flows:
    return request.app.state.flows  # type: ignore[no-any-return]


TheFlows = Annotated[Flows, Depends(_flows)]
Chatter = Annotated[Caller, Depends(Requires(Scope.CHAT))]
Reader = Annotated[Caller, Depends(Requires(Scope.MODELS_READ))]
Operator = Annotated[Caller, Depends(Requires(Scope.MODELS_WRITE))]

openai = APIRouter(prefix="/v1", tags=["OpenAI"])
models = APIRouter(prefix="/switch", tags=["models"])


@openai.post("/chat/completions", summary="Chat, streamed or whole", response_class=Response)
async def chat(request: Request, flows: TheFlows, caller: Chatter) -> Streamed:
    return Streamed(flows.complete("/v1/chat/completions", await request.body(), caller))


@openai.post("/completions", summary="Completion of a text, streamed or whole", response_class=Response)
async def completion(request: Request, flows: TheFlows, caller: Chatter) -> Streamed:
    return Streamed(flows.complete("/v1/completions", await request.body(), caller))


@openai.get("/models", summary="Every enabled model")
async def list_models(flows: TheFlows, _caller: Reader) -> ModelCards:
    return await flows.cards()


@openai.get("/models/{name}", summary="One enabled model")
async def show_model(name: str, flows: TheFlows, _caller: Reader) -> ModelCard:
    return await flows.card(name)


@models.get("/models", summary="What is in memory, and the ledger")
async def served_models(flows: TheFlows, _caller: Reader) -> ServedModels:
    return await flows.served()


@models.post("/models/{name}/load", summary="Have a model in memory")
async def load_model(name: str, flows: TheFlows, _caller: Operator) -> ServedModel:
    return await flows.load(name)


@models.post("/models/{name}/unload", summary="Give a model's memory back")
async def unload_model(name: str, flows: TheFlows, _caller: Operator) -> ServedModel:
    return await flows.unload(name)


@models.get("/queue/status", summary="How much is served, and how much waits")
async def queue_status(flows: TheFlows, _caller: Reader) -> QueueStatus:
    return flows.queue()
