"""The one ASGI layer around every service: correlation id, deadline, body limit, metrics, and the last catch.

It is not a `BaseHTTPMiddleware`, because streams must pass through it untouched. What belongs to one request
is taken back when the request is over, so that several apps can live in one task (tests run them so).
"""

from __future__ import annotations

import logging
import os
import re

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config import deadline
from config.clients import CORRELATION_HEADER
from config.clock import Clock
from config.errors import TooLarge
from config.logs import correlation_id
from config.metrics import Metrics
from config.problems.outgoing import bug, problem_response
from config.streaming import GONE

RawHeaders = dict[bytes, bytes]

_CORRELATION = CORRELATION_HEADER.encode()
_DEADLINE = deadline.HEADER.encode()
_CORRELATION_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_LENGTH = re.compile(r"[0-9]{1,18}")
_VITAL_SIGNS = frozenset({"/health", "/ready", "/metrics"})  # looked at all the time: no work anybody waits for
_BUG = 500  # FastAPI's outermost layer has answered, and raised again for the log
_log = logging.getLogger(__name__)


class Frame:
    """Stands between the server and the FastAPI app of one service."""

    def __init__(self, app: ASGIApp, metrics: Metrics, clock: Clock, max_body_bytes: int) -> None:
        self._app = app
        self._metrics = metrics
        self._clock = clock
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(_CORRELATION, b"").decode("latin-1")
        current = correlation_id.set(given if _CORRELATION_ID.fullmatch(given) else os.urandom(16).hex())
        try:
            with deadline.arrived(headers.get(_DEADLINE)):
                if scope["type"] == "websocket":
                    await self._app(scope, receive, send)
                else:
                    await self._measured(scope, receive, send, headers)
        finally:
            correlation_id.reset(current)

    async def _measured(self, scope: Scope, receive: Receive, send: Send, headers: RawHeaders) -> None:
        began, status = self._clock.monotonic(), GONE
        answered: float | None = None
        is_counted = scope["path"] not in _VITAL_SIGNS
        own_header = (_CORRELATION, correlation_id.get().encode())

        async def framed_send(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], self._clock.monotonic()
                message["headers"] = [*message.get("headers", ()), own_header]
            await send(message)

        if is_counted:
            self._metrics.began()
        try:
            await self._answered(scope, self._bounded(receive, headers), framed_send, headers)
        except ClientDisconnect:
            pass  # nobody is there to answer
        except Exception:  # border: whatever a route lets slip is a bug of ours, and told as one
            if status not in (GONE, _BUG):
                raise  # the answer has begun: only a cut connection still tells the client
            _log.exception("unhandled exception")
            if status == GONE:
                await problem_response(bug(), path=scope["path"])(scope, receive, framed_send)
        finally:
            if is_counted:
                ended = self._clock.monotonic()
                self._metrics.ended(status, ended - began, (answered or ended) - began)

    async def _answered(self, scope: Scope, receive: Receive, send: Send, headers: RawHeaders) -> None:
        length = headers.get(b"content-length", b"").decode("latin-1")
        if _LENGTH.fullmatch(length) and int(length) > self._max_body_bytes:
            await problem_response(self._too_large(), path=scope["path"])(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _bounded(self, receive: Receive, headers: RawHeaders) -> Receive:
        """Count a body of undeclared length while it is read; over the limit it is refused."""
        if b"transfer-encoding" not in headers:
            return receive
        seen = 0

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max_body_bytes:
                raise self._too_large()
            return message

        return bounded

    def _too_large(self) -> TooLarge:
        limit = self._max_body_bytes
        return TooLarge(f"The body is over {limit // 2**20} MiB.", extra={"limit_bytes": limit})
