"""How the machine is, and the engine mode."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from config.contracts.base import Page
from config.contracts.weather import ControlAnswer, Fluzo, FluzoReading, SwitchControl
from switch.routes.rights import Operator, Reader, TheFlows

router = APIRouter(prefix="/switch", tags=["weather"])
Limit = Annotated[int, Query(ge=1, le=200)]
Cursor = Annotated[str | None, Query(max_length=512)]


@router.post("/control", summary="Tell, list or set the engine mode; `auto` has the load decide again")
async def control(body: SwitchControl, flows: TheFlows, caller: Operator) -> ControlAnswer:
    return await flows.weather.control(body, caller)


@router.get("/fluzo", summary="The machine's signals as last read, their profile and mode")
async def fluzo(flows: TheFlows, _caller: Reader) -> Fluzo:
    return flows.weather.fluzo()


@router.get("/fluzo/signals", summary="Kept signals, newest first: one a minute, and each change of profile")
async def signals(flows: TheFlows, _caller: Reader, limit: Limit = 50, cursor: Cursor = None) -> Page[FluzoReading]:
    return await flows.weather.readings(limit, cursor)
