"""The only maker of HTTP clients.

`Clients.peer(name)` speaks to another service: typed by contract, with the caller's rights, a deadline
that travels along, a circuit breaker, and retries for GET only. `Clients.streams()` is the byte pipe of
hot paths (aiohttp measured 5 to 10 times httpx's throughput there). `Clients.web()` is for the outside
world. `door()` is for the command line. The transport is a constructor argument: that is the test seam.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

import aiohttp
import httpx
from pydantic import BaseModel, ValidationError

from config import deadline
from config.auth import TOKEN_HEADER, Authority, Caller
from config.breaker import Breaker
from config.clock import Clock
from config.errors import BadPeer, BreakerOpen, NotFound, PeerTimeout, Unavailable, VX11Error
from config.logs import correlation_id
from config.problems.incoming import error_from_answer
from config.settings import Settings

A = TypeVar("A", bound=BaseModel)
ByteClient = aiohttp.ClientSession
CORRELATION_HEADER = "x-correlation-id"
IF_BEGUN = "x-vx11-if-begun"  # of a keyed POST that only asks (config/idempotency.py)
_CONNECT_SEC = 2.0
_VITAL_SEC = 1.0
_TRIES = 6
_GET_TRIES = 3
_RETRY_PAUSE_SEC = 0.05


class Timeout(Enum):
    """How long a call may take, seconds, by class of work."""

    QUICK = 2.0
    NORMAL = 15.0
    SLOW = 120.0


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked of a peer; what a PATCH leaves unsaid stays as it is, so it is not sent."""

    method: str
    path: str
    body: BaseModel | None = None
    params: dict[str, Any] | None = None
    key: str | None = None
    if_begun: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def content(self) -> str | None:
        """The body as JSON."""
        return None if self.body is None else self.body.model_dump_json(exclude_unset=self.method == "PATCH")


class Peer:
    """Another service of the fleet, seen from this one."""

    def __init__(
        self, name: str, http: httpx.AsyncClient, authority: Authority, self_caller: Caller, clock: Clock
    ) -> None:
        self._name = name
        self._http = http
        self._authority = authority
        self._self_caller = self_caller
        self._clock = clock
        self._breaker = Breaker()

    async def get(
        self,
        path: str,
        *,
        answer: type[A],
        on_behalf: Caller | None = None,
        timeout: Timeout = Timeout.NORMAL,
        params: dict[str, Any] | None = None,
    ) -> A:
        """GET `path`; tried up to three times when the peer cannot be reached."""
        return await self._call(_Request("GET", path, params=params), answer, on_behalf, timeout)

    async def post(
        self,
        path: str,
        body: BaseModel | None = None,
        *,
        answer: type[A],
        on_behalf: Caller | None = None,
        timeout: Timeout = Timeout.NORMAL,
        key: str | None = None,
    ) -> A:
        """POST `body` to `path`, once; with a `key` (`Idempotency-Key`) it may be said again and is done once."""
        return await self._call(_Request("POST", path, body, key=key), answer, on_behalf, timeout)

    async def begun(
        self, path: str, body: BaseModel, *, answer: type[A], on_behalf: Caller | None = None, key: str
    ) -> A | None:
        """What the POST of `body` to `path` with this key was answered; None: it began nothing, and never will."""
        asked = _Request("POST", path, body, key=key, if_begun=True)
        try:
            return await self._call(asked, answer, on_behalf, Timeout.NORMAL)
        except NotFound:
            return None

    async def patch(
        self,
        path: str,
        body: BaseModel,
        *,
        answer: type[A],
        on_behalf: Caller | None = None,
        timeout: Timeout = Timeout.NORMAL,
    ) -> A:
        """PATCH `path` with what `body` sets, once."""
        return await self._call(_Request("PATCH", path, body), answer, on_behalf, timeout)

    async def delete(
        self, path: str, *, answer: type[A], on_behalf: Caller | None = None, timeout: Timeout = Timeout.NORMAL
    ) -> A:
        """DELETE `path`, once; a second time it is NotFound."""
        return await self._call(_Request("DELETE", path), answer, on_behalf, timeout)

    async def vital(self, path: str, *, answer: type[A]) -> A | None:
        """What the open path `path` (/ready, /health) says this moment; None where nobody answers with 200.

        A single try outside the breaker: looking whether somebody is there must not count as failing.
        """
        try:
            response = await self._http.get(path, timeout=_VITAL_SEC)
            return answer.model_validate_json(response.content) if response.status_code == 200 else None
        except (httpx.TransportError, ValidationError):
            return None

    async def exposition(self) -> str | None:
        """What its /metrics says this moment; None where nobody answers with 200. As `vital`, outside the breaker."""
        try:
            headers = self._headers(self._self_caller, _VITAL_SEC)
            response = await self._http.get("/metrics", headers=headers, timeout=_VITAL_SEC)
        except httpx.TransportError:
            return None
        return response.text if response.status_code == 200 else None

    async def _call(self, asked: _Request, answer: type[A], on_behalf: Caller | None, timeout: Timeout) -> A:
        response = await self._send(asked, on_behalf or self._self_caller, timeout)
        if response.is_error:
            raise error_from_answer(response.status_code, response.headers, response.content)
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as error:
            raise BadPeer(f"{self._name} answered {asked} with something else than agreed.") from error

    async def _send(self, asked: _Request, caller: Caller, timeout: Timeout) -> httpx.Response:
        seconds = deadline.within(timeout.value)
        too_late = PeerTimeout(f"{self._name} did not answer {asked} within {seconds:g} s.")
        if seconds == 0:
            raise too_late
        headers = self._headers(caller, seconds)
        if asked.key is not None:
            headers["idempotency-key"] = asked.key
        if asked.if_begun:
            headers[IF_BEGUN] = "1"
        request = self._http.build_request(
            asked.method,
            asked.path,
            params=asked.params,
            content=asked.content,
            headers=headers,
            timeout=httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SEC)),
        )
        with self._guarded() as breaker:
            try:
                async with asyncio.timeout(seconds):  # httpx counts each read anew
                    response = await self._exchange(request)
            except (TimeoutError, httpx.TimeoutException):
                if seconds == timeout.value:  # the caller's own hurry says nothing about the peer
                    breaker.failed(self._clock.monotonic())
                raise too_late from None
            except httpx.ConnectError as error:  # refused at once: no breaker saves anything, and it may be back soon
                raise Unavailable(f"{self._name} cannot be reached.", retry_after_sec=1) from error
            except httpx.TransportError as error:
                breaker.failed(self._clock.monotonic())
                raise Unavailable(f"{self._name} cannot be reached.", retry_after_sec=1) from error
            breaker.succeeded()
            return response

    @contextmanager
    def _guarded(self) -> Iterator[Breaker]:
        """The breaker, if it lets a call out; whatever way the call ends, the place for a try is free again."""
        now = self._clock.monotonic()
        if not self._breaker.admits(now):
            wait = self._breaker.retry_after_sec(now)
            raise BreakerOpen(f"{self._name} failed several times in a row.", retry_after_sec=wait)
        is_try = self._breaker.trying
        try:
            yield self._breaker
        finally:
            if is_try:
                self._breaker.given_up()

    async def _exchange(self, request: httpx.Request) -> httpx.Response:
        """Send `request`, again where that is safe: always when no connection came about, for nothing was sent
        and a service that restarts is back in a moment; else only what changes nothing, and not when it is slow."""
        for attempt in range(1, _TRIES):
            try:
                return await self._http.send(request)
            except httpx.ConnectError:
                await asyncio.sleep(_RETRY_PAUSE_SEC * attempt)
            except httpx.TimeoutException:
                raise
            except httpx.TransportError:
                if request.method != "GET" or attempt >= _GET_TRIES:
                    raise
                await asyncio.sleep(_RETRY_PAUSE_SEC * attempt)
        return await self._http.send(request)

    def _headers(self, caller: Caller, seconds: float) -> dict[str, str]:
        return {
            TOKEN_HEADER: self._authority.sign(caller),
            CORRELATION_HEADER: correlation_id.get(),
            deadline.HEADER: str(int(seconds * 1000)),
            "content-type": "application/json",
        }


class Clients:
    """All HTTP clients of one service; closed together."""

    def __init__(
        self,
        settings: Settings,
        authority: Authority,
        service: str,
        clock: Clock,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._settings = settings
        self._authority = authority
        self._caller = Caller.of_service(service)
        self._clock = clock
        self._transport = transport
        self._peers: dict[str, Peer] = {}
        self._httpx: list[httpx.AsyncClient] = []
        self._sessions: list[aiohttp.ClientSession] = []

    def peer(self, name: str) -> Peer:
        """The service `name`, with a connection pool and a breaker of its own."""
        if name not in self._peers:
            url = self._settings.url_of(name)
            # No proxy stands before a peer, and no TLS: a context that trusts nobody spares it the 140 certificates
            # that the default one parses (1 MiB and 10 ms each time).
            no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            http = httpx.AsyncClient(base_url=url, transport=self._transport, trust_env=False, verify=no_tls)
            self._peers[name] = Peer(name, self._keep(http), self._authority, self._caller, self._clock)
        return self._peers[name]

    def web(self) -> httpx.AsyncClient:
        """A client for the outside world: redirects followed, proxies of the environment respected."""
        timeout = httpx.Timeout(30.0, connect=10.0)
        return self._keep(httpx.AsyncClient(transport=self._transport, follow_redirects=True, timeout=timeout))

    def streams(self, *, unix_socket: str | None = None, limit: int = 0) -> ByteClient:
        """A byte pipe over TCP, or to `unix_socket`: no decoding, no total timeout, connections kept.

        `limit` bounds its connections (0: unbounded). Call it inside the running event loop.
        """
        session = byte_client(unix_socket=unix_socket, limit=limit)
        self._sessions = [*(one for one in self._sessions if not one.closed), session]  # Switch makes one a worker
        return session

    def _keep(self, client: httpx.AsyncClient) -> httpx.AsyncClient:
        self._httpx.append(client)
        return client

    async def close(self) -> None:
        """Close every client made here."""
        for client in self._httpx:
            await client.aclose()
        for session in self._sessions:
            await session.close()


def byte_client(*, unix_socket: str | None = None, limit: int = 0) -> ByteClient:
    """A byte pipe as `Clients.streams` makes them, for a process that is no service; its maker closes it."""
    connector: aiohttp.BaseConnector
    if unix_socket is None:
        # No cache of names: a container that starts again may have another address. Addresses need no name anyway.
        connector = aiohttp.TCPConnector(limit=limit, keepalive_timeout=30, use_dns_cache=False)
    else:
        connector = aiohttp.UnixConnector(unix_socket, limit=limit, keepalive_timeout=30)
    return aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT_SEC),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("user-agent", "accept", "content-type"),
    )


def door(base_url: str, token: str) -> httpx.Client:
    """The gateway as the command line sees it; `raise_for_problem` reads its errors."""
    timeout = httpx.Timeout(150.0, connect=2.0)
    return httpx.Client(base_url=base_url, headers={TOKEN_HEADER: token}, timeout=timeout, trust_env=False)


def raise_for_problem(response: httpx.Response) -> None:
    """Raise the VX11Error that an answer of `door` holds, if it is one; a stream must have been read."""
    if response.is_error:
        error: VX11Error = error_from_answer(response.status_code, response.headers, response.content)
        raise error
