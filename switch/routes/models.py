"""Models in memory, and what waits for them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Request

from config.contracts.serving import (
    ModelLoad,
    QueueReport,
    ServedModel,
    ServedModels,
    WarmupOrder,
    WarmupStatus,
)
from config.streaming import while_connected
from switch.routes.rights import Operator, Reader, TheFlows

router = APIRouter(prefix="/switch", tags=["models"])


@router.get("/models", summary="What is in memory, and the ledger")
async def served_models(flows: TheFlows, _caller: Reader) -> ServedModels:
    return await flows.models.served()


@router.post("/models/{name}/load", summary="Have a model in memory; who goes away waits for it no longer")
async def load_model(
    name: str,
    request: Request,
    flows: TheFlows,
    _caller: Operator,
    order: Annotated[ModelLoad, Body(default_factory=ModelLoad)],
) -> ServedModel:
    return await while_connected(request.receive, flows.models.load(name, order))


@router.post("/models/{name}/unload", summary="Give a model's memory back; 409 while others use it or wait for it")
async def unload_model(name: str, flows: TheFlows, _caller: Operator) -> ServedModel:
    return await flows.models.unload(name)


@router.post("/models/{name}/pin", summary="Keep a model in memory")
async def pin_model(name: str, flows: TheFlows, _caller: Operator) -> ServedModel:
    return await flows.models.pin(name)


@router.post("/models/{name}/unpin", summary="Let a pinned model go like the others")
async def unpin_model(name: str, flows: TheFlows, _caller: Operator) -> ServedModel:
    return await flows.models.unpin(name)


@router.get("/queue/status", summary="How much is served, and how much waits")
async def queue_status(flows: TheFlows, caller: Reader) -> QueueReport:
    return flows.models.queue_of(caller)


@router.get("/warmup/status", summary="How the last warm-up went, or goes")
async def warmup_status(flows: TheFlows, _caller: Reader) -> WarmupStatus:
    return flows.warmup.status()


@router.post("/warmup", summary="Load models in turn, with one inference each", status_code=202)
async def warm_up(
    flows: TheFlows, caller: Operator, order: Annotated[WarmupOrder, Body(default_factory=WarmupOrder)]
) -> WarmupStatus:
    return await flows.warmup.begin(order, caller)
