"""Madre's HTTP surface: power (CONTRACT, section 4)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from config.auth import Caller, Requires, Scope
from config.contracts.base import Page
from config.contracts.power import (
    Maintenance,
    MaintenanceReport,
    Policy,
    PolicyStatus,
    PowerState,
    ServiceControl,
    ServiceControlResult,
    ServiceLimits,
    Wake,
    WakeAnswer,
    Window,
    WindowClose,
    WindowExtend,
    WindowHold,
    WindowOpen,
)
from madre.flows.control import Verb
from madre.flows.power import Power

power = APIRouter(prefix="/madre/power", tags=["power"])


async def _power(request: Request) -> Power:
    return request.app.state.flows  # type: ignore[no-any-return]


Flows = Annotated[Power, Depends(_power)]
Reader = Annotated[Caller, Depends(Requires(Scope.POWER_READ))]
Writer = Annotated[Caller, Depends(Requires(Scope.POWER_WRITE))]
Admin = Annotated[Caller, Depends(Requires(Scope.MAINTENANCE))]
Fleet = Annotated[Caller, Depends(Requires(Scope.FLEET))]


@power.get("/state", summary="Policy, windows and services as they are now")
async def state(flows: Flows, _: Reader) -> PowerState:
    return await flows.windows.state()


@power.post(
    "/window/open",
    status_code=201,
    response_model=Window,
    summary="Open a window on services; the same set by the same caller extends the one there is",
)
async def open_window(request: Request, body: WindowOpen, flows: Flows, caller: Writer) -> Response:
    return await flows.once(request, caller, 201, lambda: flows.windows.open(body, caller))


@power.post("/window/close", summary="Close a window, or without an id the one that ends last; idempotent")
async def close_window(body: WindowClose, flows: Flows, caller: Writer) -> Window:
    return await flows.windows.close(body, caller)


@power.post("/window/hold", summary="Take a window's deadline away, or give it one again")
async def hold_window(body: WindowHold, flows: Flows, caller: Writer) -> Window:
    return await flows.windows.hold(body, caller)


@power.post("/window/extend", summary="Move a window's deadline, under the cap")
async def extend_window(body: WindowExtend, flows: Flows, caller: Writer) -> Window:
    return await flows.windows.extend(body, caller)


@power.get("/windows", summary="Windows, live and past, newest first")
async def list_windows(
    flows: Flows, _: Reader, limit: Annotated[int, Query(ge=1, le=200)] = 50, cursor: str | None = None
) -> Page[Window]:
    return await flows.windows.page(limit, cursor)


@power.get("/policy/{policy}/status", summary="Whether a policy is in force")
async def policy_status(policy: Policy, flows: Flows, _: Reader) -> PolicyStatus:
    return await flows.policies.status(policy)


@power.post("/policy/{policy}/apply", summary="Put a policy in force; idempotent, open windows stay")
async def apply_policy(policy: Policy, flows: Flows, caller: Writer) -> PolicyStatus:
    return await flows.policies.apply(policy, caller)


@power.get("/services", summary="What power may act on, with limits")
async def services(flows: Flows, _: Reader) -> Page[ServiceLimits]:
    return flows.control.services()


@power.post(
    "/service/{name}/{verb}",
    response_model=ServiceControlResult,
    summary="Start, stop or restart one service: a plan unless `apply`",
)
async def control_service(
    request: Request, name: str, verb: Verb, body: ServiceControl, flows: Flows, caller: Writer
) -> Response:
    return await flows.once(request, caller, 200, lambda: flows.control.control(name, verb, body, caller))


@power.post(
    "/maintenance", response_model=MaintenanceReport, summary="Check the database; with `apply`, retain and back up"
)
async def maintenance(request: Request, body: Maintenance, flows: Flows, caller: Admin) -> Response:
    return await flows.once(request, caller, 200, lambda: flows.upkeep.maintain(body, caller))


@power.post("/wake", summary="For the gateway: have a service up for a request that waits")
async def wake(body: Wake, flows: Flows, caller: Fleet) -> WakeAnswer:
    return await flows.waking.wake(body, caller)
