"""What the door answers itself; everything else passes through (`adapters/passage.py`)."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from config.app import House
from config.auth import Caller, Requires, Scope, token_in
from config.contracts.asking import CorrelationId, DoorIntent, IntentAnswer
from config.contracts.base import Page
from config.contracts.events import Ticket
from config.contracts.power import Window
from config.contracts.spawning import DoorSpawn, DoorSpawned
from config.contracts.status import DoorWindowClose, DoorWindowOpen, FleetStatus, WindowList
from config.contracts.tokens import NewToken, Token, TokenCreate
from config.errors import Forbidden, TooManyRequests
from tentaculo_link.feed import frames
from tentaculo_link.flows import Flows
from tentaculo_link.tickets import TICKET_LIFE_SEC

_EVENT_ID = re.compile(r"[0-9]{1,18}")
Prefix = Annotated[str, Query(max_length=64, description="Only event types that start with this.")]


async def _flows(request: Request) -> Flows:
    return request.app.state.flows  # type: ignore[no-any-return]


async def _house(request: Request) -> House:
    return request.app.state.house  # type: ignore[no-any-return]


class WithinRate:
    """The caller of a request, once it holds `scope` and is within its rate."""

    def __init__(self, scope: Scope) -> None:
        self._identified = Requires(scope)

    async def __call__(self, request: Request) -> Caller:
        """TooManyRequests, with the wait, where the token is over its rate."""
        caller = await self._identified(request)
        house = await _house(request)
        wait = request.app.state.limit.wait_for(caller.token_id, house.clock.monotonic())
        if wait > 0:
            raise TooManyRequests("This token is over its rate for now.", retry_after_sec=wait)
        return caller


class ByTicket:
    """The caller of a request, once it holds `scope`; a ticket stands for the caller that asked for it."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def __call__(self, request: Request, ticket: str | None = None) -> Caller:
        """Forbidden for a ticket that is not good; else as with a token."""
        house = await _house(request)
        if ticket is None:
            caller = await house.auth.identify(token_in(request.scope))
        else:
            redeemed = request.app.state.tickets.redeem(ticket, house.clock.monotonic())
            if redeemed is None:
                raise Forbidden(
                    "This ticket was used or has expired.", hint="POST /vx11/events/ticket gives a new one."
                )
            caller = redeemed
        caller.require(self._scope)
        return caller


TheFlows = Annotated[Flows, Depends(_flows)]
TheHouse = Annotated[House, Depends(_house)]
Reader = Annotated[Caller, Depends(WithinRate(Scope.STATUS_READ))]
Opener = Annotated[Caller, Depends(WithinRate(Scope.POWER_WRITE))]
TokenAdmin = Annotated[Caller, Depends(WithinRate(Scope.TOKENS_ADMIN))]
Chatter = Annotated[Caller, Depends(WithinRate(Scope.CHAT))]
Spawning = Annotated[Caller, Depends(WithinRate(Scope.JOBS_WRITE))]
Listener = Annotated[Caller, Depends(WithinRate(Scope.EVENTS_READ))]

fleet = APIRouter(prefix="/vx11", tags=["fleet"])
auth = APIRouter(prefix="/auth", tags=["tokens"])


@fleet.get("/status", summary="What is really running")
async def status(flows: TheFlows, _caller: Reader) -> FleetStatus:
    return await flows.status()


@fleet.post("/window/open", summary="Open a power window", status_code=201, response_model=Window)
async def open_window(
    request: Request, body: DoorWindowOpen, flows: TheFlows, house: TheHouse, caller: Opener
) -> Response:
    return await house.idempotency.once(request, caller, 201, lambda: flows.open_window(body, caller))


@fleet.post("/window/close", summary="Close power windows; closing what is closed is no error")
async def close_window(body: DoorWindowClose, flows: TheFlows, caller: Opener) -> WindowList:
    return await flows.close_window(body, caller)


@fleet.get("/window/status", summary="Live windows and the seconds they have left")
async def window_status(flows: TheFlows, _caller: Reader) -> WindowList:
    return await flows.windows()


@fleet.get("/window/status/{target}", summary="Live windows that hold one service")
async def window_status_of(target: str, flows: TheFlows, _caller: Reader) -> WindowList:
    return await flows.windows(target)


@fleet.post(
    "/intent",
    summary="Say what is wanted: a plan, a model's answer, or a task comes of it, under the correlation id",
    response_model=IntentAnswer,
)
async def intent(request: Request, body: DoorIntent, flows: TheFlows, house: TheHouse, caller: Chatter) -> Response:
    return await house.idempotency.once(request, caller, 200, lambda: flows.intent(body, caller))


@fleet.get("/result/{result_id}", summary="What came of an intent, by correlation id, or of a daughter, by `spawn-…`")
async def result(result_id: Annotated[CorrelationId, Path()], flows: TheFlows, caller: Chatter) -> IntentAnswer:
    return await flows.result(result_id, caller)


@fleet.post(
    "/spawn",
    summary="Run a task in isolation: 202 and its id, which GET /vx11/result/{id} takes",
    status_code=202,
    response_model=DoorSpawned,
)
async def spawn(request: Request, body: DoorSpawn, flows: TheFlows, house: TheHouse, caller: Spawning) -> Response:
    key = request.headers.get("idempotency-key")
    return await house.idempotency.once(request, caller, 202, lambda: flows.spawn(body, caller, key))


@fleet.post("/events/ticket", summary="A single-use pass to the event stream, for browsers")
async def ticket(request: Request, house: TheHouse, caller: Listener) -> Ticket:
    issued = request.app.state.tickets.issue(caller, house.clock.monotonic())
    return Ticket(ticket=issued, expires_in_sec=TICKET_LIFE_SEC)


@fleet.get("/events", summary="Server-sent events; Last-Event-ID resumes", response_class=StreamingResponse)
async def events(
    request: Request,
    house: TheHouse,
    _caller: Annotated[Caller, Depends(ByTicket(Scope.EVENTS_READ))],
    types: Prefix = "",
) -> StreamingResponse:
    last = request.headers.get("last-event-id", "")
    after = int(last) if _EVENT_ID.fullmatch(last) else None
    prefixes = tuple(part for part in types.split(",") if part)
    return StreamingResponse(
        frames(house.journal, after, prefixes),
        media_type="text/event-stream",
        headers={"cache-control": "no-cache", "x-accel-buffering": "no"},
    )


@auth.post("/tokens", summary="Make a token; it is shown this once", status_code=201)
async def create_token(body: TokenCreate, flows: TheFlows, caller: TokenAdmin) -> NewToken:
    return await flows.create_token(body, caller)


@auth.get("/tokens", summary="Tokens, newest first, without their secrets")
async def list_tokens(
    flows: TheFlows,
    _caller: TokenAdmin,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: str | None = None,
) -> Page[Token]:
    return await flows.list_tokens(limit, cursor)


@auth.delete("/tokens/{token_id}", summary="Revoke a token")
async def revoke_token(token_id: str, flows: TheFlows, caller: TokenAdmin) -> Token:
    return await flows.revoke_token(token_id, caller)


@auth.post("/tokens/{token_id}/rotate", summary="Replace a token; the new one is shown this once", status_code=201)
async def rotate_token(token_id: str, flows: TheFlows, caller: TokenAdmin) -> NewToken:
    return await flows.rotate_token(token_id, caller)
