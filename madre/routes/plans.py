"""HTTP of plans: list, show, review, confirm, cancel, and one action named outright (CONTRACT, section 5)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from config.auth import Caller, Requires, Scope
from config.contracts.base import Page
from config.contracts.plans import Control, Plan, PlanCancel, PlanConfirm, Status
from madre.flows.planning import Planning

_OTHERS = "Another user's, or `*` for everybody's: for operators, each page on record; else 404."
plans = APIRouter(prefix="/madre", tags=["plans"])


async def _planning(request: Request) -> Planning:
    return request.app.state.planning  # type: ignore[no-any-return]


Flows = Annotated[Planning, Depends(_planning)]
Reader = Annotated[Caller, Depends(Requires(Scope.PLANS_READ))]
Writer = Annotated[Caller, Depends(Requires(Scope.PLANS_WRITE))]


@plans.get("/plans", summary="Plans, newest first: one's own; for operators, on record, another's or everybody's")
async def list_plans(
    flows: Flows,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: str | None = None,
    status: Status | None = None,
    user: Annotated[str | None, Query(max_length=128, description=_OTHERS)] = None,
) -> Page[Plan]:
    return await flows.plans.page(limit, cursor, caller, user=user, status=status)


@plans.get("/plans/{plan_id}", summary="One plan with its steps and what came of them; another user's is 404")
async def show_plan(plan_id: str, flows: Flows, caller: Reader) -> Plan:
    return await flows.plans.show(plan_id, caller)


@plans.post(
    "/plans/{plan_id}/confirm",
    response_model=Plan,
    summary="Let a waiting plan run, with the token for exactly this plan; 409 `stale_plan` says what changed",
)
async def confirm_plan(request: Request, plan_id: str, body: PlanConfirm, flows: Flows, caller: Writer) -> Response:
    return await flows.once(request, caller, 200, lambda: flows.plans.confirm(plan_id, body, caller))


@plans.post("/plans/{plan_id}/review", summary="A waiting plan against the house as it is now, with a fresh token")
async def review_plan(plan_id: str, flows: Flows, caller: Writer) -> Plan:
    return await flows.plans.review(plan_id, caller)


@plans.post(
    "/plans/{plan_id}/cancel", response_model=Plan, summary="End a plan; of a running one no further step begins"
)
async def cancel_plan(request: Request, plan_id: str, body: PlanCancel, flows: Flows, caller: Writer) -> Response:
    return await flows.once(request, caller, 200, lambda: flows.plans.cancel(plan_id, body, caller))


@plans.post(
    "/control",
    response_model=Plan,
    summary="One registered action by name: runs if its risk is LOW, else waits for the same body with its token",
)
async def control(request: Request, body: Control, flows: Flows, caller: Writer) -> Response:
    return await flows.once(request, caller, 200, lambda: flows.commands.control(body, caller))
