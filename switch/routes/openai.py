"""OpenAI's paths."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from config.contracts.serving import ModelCard, ModelCards
from config.streaming import Streamed
from switch.routes.rights import Chatter, Reader, TheFlows

router = APIRouter(prefix="/v1", tags=["OpenAI"])


@router.post("/chat/completions", summary="Chat, streamed or whole", response_class=Response)
async def chat(request: Request, flows: TheFlows, caller: Chatter) -> Streamed:
    return Streamed(flows.completions.complete("/v1/chat/completions", await request.body(), caller))


@router.post("/completions", summary="Completion of a text, streamed or whole", response_class=Response)
async def completion(request: Request, flows: TheFlows, caller: Chatter) -> Streamed:
    return Streamed(flows.completions.complete("/v1/completions", await request.body(), caller))


@router.get("/models", summary="Every enabled model")
async def list_models(flows: TheFlows, _caller: Reader) -> ModelCards:
    return await flows.models.cards()


@router.get("/models/{name}", summary="One enabled model")
async def show_model(name: str, flows: TheFlows, _caller: Reader) -> ModelCard:
    return await flows.models.card(name)
