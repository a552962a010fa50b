"""Models in memory, and what waits for them."""

from __future__ import annotations

from fastapi import APIRouter

from config.contracts.serving import QueueStatus, ServedModel, ServedModels
from switch.routes.rights import Operator, Reader, TheFlows

router = APIRouter(prefix="/switch", tags=["models"])


@router.get("/models", summary="What is in memory, and the ledger")
async def served_models(flows: TheFlows, _caller: Reader) -> ServedModels:
    return await flows.models.served()


@router.post("/models/{name}/load", summary="Have a model in memory")
async def load_model(name: str, flows: TheFlows, _caller: Operator) -> ServedModel:
    return await flows.models.load(name)


@router.post("/models/{name}/unload", summary="Give a model's memory back")
async def unload_model(name: str, flows: TheFlows, _caller: Operator) -> ServedModel:
    return await flows.models.unload(name)


@router.get("/queue/status", summary="How much is served, and how much waits")
async def queue_status(flows: TheFlows, _caller: Reader) -> QueueStatus:
    return flows.models.queue()
