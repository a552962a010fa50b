"""Engines: who there is, who would answer, how they have done."""

from __future__ import annotations

from fastapi import APIRouter

from config.contracts.engines import (
    EngineHealth,
    EngineResult,
    EnginesStatus,
    ProviderCards,
    SelectedEngine,
    SelectEngine,
    SwitchContext,
)
from switch.routes.rights import Chatter, Operator, Reader, TheFlows

router = APIRouter(prefix="/switch", tags=["engines"])


@router.get("/context", summary="What a prompt would meet now: mode, signals, engines, budgets")
async def context(flows: TheFlows, _caller: Reader) -> SwitchContext:
    return await flows.engines.context(flows.models.queue())


@router.get("/providers", summary="Every provider: its models, prices and budgets")
async def providers(flows: TheFlows, _caller: Reader) -> ProviderCards:
    return await flows.engines.providers()


@router.post("/hermes/select_engine", summary="Who would answer now, and the score of everybody")
async def select_engine(body: SelectEngine, flows: TheFlows, _caller: Chatter) -> SelectedEngine:
    return await flows.engines.select(body)


@router.post("/hermes/record_result", summary="How an engine did when somebody else used it")
async def record_result(body: EngineResult, flows: TheFlows, _caller: Operator) -> EngineHealth:
    return await flows.engines.record(body)


@router.get("/hermes/status", summary="How every engine has done")
async def status(flows: TheFlows, _caller: Reader) -> EnginesStatus:
    return await flows.engines.status()
