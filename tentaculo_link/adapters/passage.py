"""The byte passage: what is not the door's own is handed to its owner, streams included.

A plain ASGI layer in front of FastAPI, because this is the hottest path of the house. Per request it
looks at the path, the token, the caller's rate and the lease of the service, and then only moves bytes:
backpressure comes from awaiting each write (uvicorn) and from aiohttp's bounded read buffer; when the
client goes, the upstream connection is closed, which is how the service behind learns to stop.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Iterable

import aiohttp
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from yarl import URL

from config import deadline
from config.app import House
from config.auth import TOKEN_HEADER, Caller, token_in
from config.clients import CORRELATION_HEADER, ByteClient
from config.errors import BadPeer, TooManyRequests, Unavailable, VX11Error
from config.logs import correlation_id
from config.problems.outgoing import problem_event, problem_response
from config.streaming import ClientGone, CutOff, while_connected
from tentaculo_link.adapters.websocket import WebSocketPassage
from tentaculo_link.limits import RateLimit
from tentaculo_link.paths import owner_of
from tentaculo_link.tickets import Tickets
from tentaculo_link.waking import Waking

Pairs = Iterable[tuple[bytes, bytes]]

# RFC 9110, section 7.6.1, and what this hop sets anew.
_HOP_BY_HOP = {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
_NOT_FORWARDED = _HOP_BY_HOP | {
    b"host",
    b"authorization",
    b"content-length",
    TOKEN_HEADER.encode(),
    CORRELATION_HEADER.encode(),
    deadline.HEADER.encode(),
}
_NOT_RETURNED = _HOP_BY_HOP | {b"date", b"server", CORRELATION_HEADER.encode()}
_WHOLE_BODY_BYTES = 256 * 1024  # up to here a body is read first, so that a request can be sent a second time


class Passage:
    """Passes requests to their owners; everything else goes to the app behind."""

    def __init__(self, app: ASGIApp, *, house: House, waking: Waking, limit: RateLimit, tickets: Tickets) -> None:
        self._app = app
        self._house = house
        self._waking = waking
        self._limit = limit
        self._sockets = WebSocketPassage(house, waking, limit, tickets)
        self._session: ByteClient | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection on, or leave it to the app behind."""
        kind = scope["type"]
        service = owner_of(scope["path"]) if kind in ("http", "websocket") else None
        if service is None:
            await self._app(scope, receive, send)
        elif kind == "websocket":
            await self._sockets.pass_on(service, scope, receive, send)
        else:
            try:
                await self._pass_on(service, scope, receive, send)
            except VX11Error as error:
                await problem_response(error, path=scope["path"])(scope, receive, send)

    async def _pass_on(self, service: str, scope: Scope, receive: Receive, send: Send) -> None:
        caller = await self._caller(scope)
        await self._waking.ensure(service)
        relay = _Relay(service, send)
        try:
            body = await _Body.begun(receive)
            await while_connected(body.receive_after, self._exchange_or_wake(service, caller, scope, body, relay))
        except ClientGone:
            return
        except aiohttp.ClientConnectorError as error:
            raise Unavailable(f"{service} does not take connections.", retry_after_sec=1) from error
        except aiohttp.ClientError as error:
            if isinstance(error.__cause__, ClientGone):
                return
            if isinstance(error.__cause__, VX11Error):  # the body turned out too large while it was read
                raise error.__cause__ from error
            await relay.broke_off(error)

    async def _exchange_or_wake(self, service: str, caller: Caller, scope: Scope, body: _Body, relay: _Relay) -> None:
        try:
            await relay.run(self._upstream(service, caller, scope, body.data))
        except aiohttp.ClientConnectorError:  # asleep since the last request, or its process just died
            await self._waking.again(service)
            await relay.run(self._upstream(service, caller, scope, body.data))

    async def _caller(self, scope: Scope) -> Caller:
        auth = self._house.auth
        token = token_in(scope)
        caller = auth.known(token) if token else None
        if caller is None:
            caller = await auth.identify(token)
        wait = self._limit.wait_for(caller.token_id, self._house.clock.monotonic())
        if wait > 0:
            raise TooManyRequests("This token is over its rate for now.", retry_after_sec=wait)
        return caller

    def _upstream(
        self, service: str, caller: Caller, scope: Scope, body: bytes | AsyncIterator[bytes]
    ) -> aiohttp.client._RequestContextManager:
        if self._session is None:
            self._session = self._house.clients.streams()
        target = self._house.settings.url_of(service) + scope["raw_path"].decode("ascii")
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode("latin-1")
        return self._session.request(
            scope["method"],
            _url(target),
            headers=self._headers(caller, scope["headers"]),
            data=body or None,
            allow_redirects=False,
        )

    def _headers(self, caller: Caller, given: Pairs) -> list[tuple[str, str]]:
        kept = [pair for pair in given if pair[0] not in _NOT_FORWARDED]
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in kept]
        headers.append((TOKEN_HEADER, self._house.auth.sign(caller)))
        headers.append((CORRELATION_HEADER, correlation_id.get()))
        left = deadline.seconds_left()
        if left is not None:
            headers.append((deadline.HEADER, str(int(left * 1000))))
        return headers


@functools.lru_cache(maxsize=512)
def _url(target: str) -> URL:
    """Parsing costs more than looking up, and most requests go to a handful of paths."""
    return URL(target, encoded=True)


class _Relay:
    """One answer on its way from the service to the client."""

    def __init__(self, service: str, send: Send) -> None:
        self._service = service
        self._send = send
        self._begun: aiohttp.ClientResponse | None = None

    async def run(self, sending: aiohttp.client._RequestContextManager) -> None:
        """Send the request and pass on its answer, each piece as it arrives; the last one says so."""
        async with sending as answer:
            await self._begin(answer)
            content = answer.content
            while True:
                piece = await content.readany()
                more = not content.at_eof()
                await self._send({"type": "http.response.body", "body": piece, "more_body": more})
                if not more:
                    return

    async def _begin(self, answer: aiohttp.ClientResponse) -> None:
        headers = [(name.lower(), value) for name, value in answer.raw_headers]
        self._begun = answer
        kept = [pair for pair in headers if pair[0] not in _NOT_RETURNED]
        await self._send({"type": "http.response.start", "status": answer.status, "headers": kept})

    async def broke_off(self, cause: aiohttp.ClientError) -> None:
        """The service fell over: a problem before the answer began, an error event inside an event stream;
        any other answer is cut, so that nobody takes its beginning for the whole."""
        error = BadPeer(f"{self._service} broke off before its answer was complete.")
        if self._begun is None:
            raise error from cause
        if self._begun.content_type != "text/event-stream":
            raise CutOff from cause
        await self._send({"type": "http.response.body", "body": problem_event(error), "more_body": False})


class _Body:
    """A request's body: whole if it is small, else its first part and whoever brings the rest."""

    def __init__(self, first: bytes, receive: Receive, *, is_whole: bool) -> None:
        self._first = first
        self._receive = receive
        self._through = asyncio.Event()
        if is_whole:
            self._through.set()

    @classmethod
    async def begun(cls, receive: Receive) -> _Body:
        """Read a small body, or the beginning of a long one; ClientGone when the client leaves meanwhile."""
        parts: list[bytes] = []
        size, more = 0, True
        while more and size <= _WHOLE_BODY_BYTES:
            part, more = await _part(receive)
            parts.append(part)
            size += len(part)
        return cls(b"".join(parts), receive, is_whole=not more)

    @property
    def data(self) -> bytes | AsyncIterator[bytes]:
        """What to send; asked for anew where the first try did not even connect."""
        return self._first if self._through.is_set() else self._parts()

    async def _parts(self) -> AsyncIterator[bytes]:
        yield self._first
        more = True
        while more:
            part, more = await _part(self._receive)
            yield part
        self._through.set()

    async def receive_after(self) -> Message:
        """What the client says once its body is through: for whoever watches whether it is still there."""
        await self._through.wait()
        return await self._receive()


async def _part(receive: Receive) -> tuple[bytes, bool]:
    """One part of a body, and whether more is to come; half a body must not pass for a whole one."""
    message: Message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    return message.get("body", b""), message.get("more_body", False)
