"""OpenAI's paths."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from config.contracts.serving import ModelCard, ModelCards
from config.streaming import Streamed
from switch.routes.rights import Chatter, Reader, TheFlows

router = APIRouter(prefix="/v1", tags=["OpenAI"])
_HOW = (
    "OpenAI's call. `model` names a model of `GET /v1/models`, and only who offers exactly that model is asked; `auto` "
    "leaves the choice open, and `metadata.fallback` (true) lets another model stand in. Before the first byte the "
    "next provider is asked when one fails. The headers X-VX11-Provider, X-VX11-Model and X-VX11-Decision say who "
    "answers and why. A stream that waits for longer than two seconds begins with comments that tell its place: "
    "`: vx11 {…}`."
)


@router.post("/chat/completions", summary="Chat, streamed or whole", description=_HOW, response_class=Response)
async def chat(request: Request, flows: TheFlows, caller: Chatter) -> Streamed:
    return Streamed(flows.completions.openai("/v1/chat/completions", await request.body(), caller))


@router.post(
    "/completions", summary="A text gone on with, streamed or whole", description=_HOW, response_class=Response
)
async def completion(request: Request, flows: TheFlows, caller: Chatter) -> Streamed:
    return Streamed(flows.completions.openai("/v1/completions", await request.body(), caller))


@router.post("/embeddings", summary="Embeddings of texts", description=_HOW, response_class=Response)
async def embeddings(request: Request, flows: TheFlows, caller: Chatter) -> Streamed:
    return Streamed(flows.completions.openai("/v1/embeddings", await request.body(), caller))


@router.get("/models", summary="Every model that can be named, local and elsewhere")
async def list_models(flows: TheFlows, _caller: Reader) -> ModelCards:
    return await flows.engines.cards()


@router.get("/models/{name:path}", summary="One model that can be named")
async def show_model(name: str, flows: TheFlows, _caller: Reader) -> ModelCard:
    return await flows.engines.card(name)
