"""WebSockets through the door: both directions pumped, text and binary, close codes kept.

They last, so they are bounded in number for each user, and end when the token ends that they were opened with: the
service behind knows no token of the caller's.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from starlette.status import WS_1008_POLICY_VIOLATION
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from yarl import URL

from config.app import House
from config.auth import TOKEN_HEADER, Caller, token_in
from config.clients import CORRELATION_HEADER, ByteClient
from config.errors import Forbidden, TooManyRequests, VX11Error
from config.logs import correlation_id
from config.problems.outgoing import problem_response
from tentaculo_link.limits import Places, RateLimit
from tentaculo_link.tickets import Tickets
from tentaculo_link.waking import Waking

_MAX_MESSAGE_BYTES = 2**20
_UPSTREAM_LOST = 1014  # IANA's close-code registry: bad gateway


class WebSocketPassage:
    """Joins a client's WebSocket with one of the service behind."""

    def __init__(self, house: House, waking: Waking, limit: RateLimit, tickets: Tickets) -> None:
        self._house = house
        self._waking = waking
        self._limit = limit
        self._places = Places(house.settings.gateway.sockets_per_user)
        self._tickets = tickets
        self._session: ByteClient | None = None

    async def pass_on(self, service: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Authenticate, wake, connect upstream, and pump until one side closes or the token is no longer good.

        A refusal is an HTTP answer before the handshake (the ASGI denial response).
        """
        socket = WebSocket(scope, receive, send)
        try:
            caller = await self._caller(socket)
            self._must_have_room(caller)
        except VX11Error as error:
            await socket.send_denial_response(problem_response(error))
            return
        try:
            await self._joined(service, caller, socket)
        finally:
            self._places.give_back(caller.user)

    async def _joined(self, service: str, caller: Caller, socket: WebSocket) -> None:
        try:
            await self._waking.ensure(service)
            upstream = await self._connect(service, caller, socket)
        except VX11Error as error:
            await socket.send_denial_response(problem_response(error))
            return
        except aiohttp.WSServerHandshakeError as error:
            refusal = Forbidden(f"{service} refused the WebSocket with status {error.status}.")
            await socket.send_denial_response(problem_response(refusal))
            return
        async with upstream:
            await socket.accept(subprotocol=upstream.protocol)
            over = asyncio.ensure_future(self._house.auth.turned_bad(caller))
            await _join(socket, upstream, over)

    def _must_have_room(self, caller: Caller) -> None:
        """Count the handshake as a request, and take one of the user's places; TooManyRequests without either."""
        wait = self._limit.wait_for(caller.token_id, self._house.clock.monotonic())
        if wait > 0:
            raise TooManyRequests("This token is over its rate for now.", retry_after_sec=wait)
        if not self._places.take(caller.user):
            most = self._house.settings.gateway.sockets_per_user
            raise TooManyRequests(f"{caller.user} has {most} WebSockets open.", hint="Close one that is not used.")

    async def _caller(self, socket: WebSocket) -> Caller:
        ticket = socket.query_params.get("ticket")
        if ticket is None:
            return await self._house.auth.identify(token_in(socket.scope))
        caller = self._tickets.redeem(ticket, self._house.clock.monotonic())
        if caller is None:
            raise Forbidden("This ticket was used or has expired.", hint="POST /vx11/events/ticket gives a new one.")
        return caller

    async def _connect(self, service: str, caller: Caller, socket: WebSocket) -> aiohttp.ClientWebSocketResponse:
        if self._session is None:
            self._session = self._house.clients.streams()
        query = [pair for pair in socket.query_params.multi_items() if pair[0] != "ticket"]
        return await self._session.ws_connect(
            URL(self._house.settings.url_of(service) + socket.url.path, encoded=True).with_query(query),
            headers={TOKEN_HEADER: self._house.auth.sign(caller), CORRELATION_HEADER: correlation_id.get()},
            protocols=socket.scope.get("subprotocols", ()),
            max_msg_size=_MAX_MESSAGE_BYTES,
        )


async def _join(socket: WebSocket, upstream: aiohttp.ClientWebSocketResponse, over: asyncio.Future[Forbidden]) -> None:
    """Pump both ways; the first side to end ends the other, and both end once it is `over`."""
    outward = asyncio.ensure_future(_to_client(socket, upstream))
    inward = asyncio.ensure_future(_to_service(socket, upstream))
    ends: set[asyncio.Future[Any]] = {outward, inward, over}
    try:
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for end in ends:
            end.cancel()
        await asyncio.gather(*ends, return_exceptions=True)
    if over in done:
        await upstream.close(code=WS_1008_POLICY_VIOLATION)
        await _close(socket, WS_1008_POLICY_VIOLATION, over.result().detail)


async def _close(socket: WebSocket, code: int, reason: str = "") -> None:
    try:
        await socket.close(code, reason)
    except (RuntimeError, WebSocketDisconnect):
        return  # the client closed at the same moment


async def _to_service(socket: WebSocket, upstream: aiohttp.ClientWebSocketResponse) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            await upstream.close(code=message.get("code") or 1000)
            return
        if message.get("text") is not None:
            await upstream.send_str(message["text"])
        else:
            await upstream.send_bytes(message["bytes"])


async def _to_client(socket: WebSocket, upstream: aiohttp.ClientWebSocketResponse) -> None:
    async for message in upstream:
        if message.type is aiohttp.WSMsgType.TEXT:
            await socket.send_text(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            await socket.send_bytes(message.data)
    await _close(socket, upstream.close_code or _UPSTREAM_LOST)
