"""OpenAI-compatible endpoints by URL: DeepSeek, vLLM, llama-server, Ollama, another VX11.

An answer is passed on as it comes, but looked at on the way: what is not an OpenAI answer, or only half of one, is
said and never passed off as whole. Redirects are not followed: the key is for this address alone.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from config import deadline
from config.clients import CORRELATION_HEADER, ByteClient
from config.errors import BadPeer, PeerTimeout, Unavailable, VX11Error
from config.logs import correlation_id, redacted
from config.streaming import Head
from switch.adapters.provider import Items
from switch.declared import Declared
from switch.endpoint_answer import StreamCheck, body_for, refusal, whole_answer
from switch.failures import BrokenOff
from switch.orders import Asker, Order

_LARGEST_ANSWER = 64 * 2**20
_ERROR_BYTES = 64 * 2**10
_LIST_SEC = 10.0
_UNBOUND = 1e9  # whoever waits for the first piece counts the time
_JSON = Head(200, ((b"content-type", b"application/json"),))
_EVENTS = Head(200, ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")))
_CUT = (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


class Endpoint:
    """One declared endpoint. `http` gives the byte client; it is made inside the running loop."""

    def __init__(self, name: str, declared: Declared, http: Callable[[], ByteClient]) -> None:
        self._name = name
        self._declared = declared
        self._http = http

    async def ask(self, order: Order, asker: Asker) -> Items:
        """Answer an order; see `Provider`."""
        path = order.path.removeprefix("/v1")
        async with self._answer("POST", path, self._first_byte_sec(order), body_for(order)) as answer:
            await self._check(answer, order)
            if not order.stream:
                body = await self._whole(answer)
                yield _JSON
                yield body
                return
            check = StreamCheck(order, self._name)
            pieces = self._pieces(answer, check)
            try:
                first = await self._within(self._declared.first_byte_sec, anext(pieces, b""))
                yield _EVENTS
                yield first
                async for piece in pieces:
                    yield piece
                if check.usage is not None:
                    yield check.usage
            finally:
                await pieces.aclose()

    async def models(self) -> list[str]:
        """The models it lists."""
        async with self._answer("GET", "/models", _LIST_SEC, None) as answer:
            if answer.status != 200:
                raise BadPeer(f"{self._name} answered GET /models with status {answer.status}.")
            body = await self._read(answer, _LARGEST_ANSWER, _LIST_SEC)
        try:
            return sorted({str(model["id"]) for model in json.loads(body)["data"]})
        except (ValueError, KeyError, TypeError, RecursionError):
            raise BadPeer(f"{self._name} answered GET /models with something else than a list of models.") from None

    def _first_byte_sec(self, order: Order) -> float:
        return self._declared.first_byte_sec if order.stream else self._declared.total_sec

    @asynccontextmanager
    async def _answer(
        self, method: str, path: str, seconds: float, body: bytes | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The head of its answer within `seconds`, in the words of the error tree where there is none."""
        request = self._http().request(
            method,
            self._declared.url + path,
            data=body,
            headers=self._headers(),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._declared.connect_sec),
        )
        try:
            answer = await self._within(seconds, request)
        except aiohttp.ServerTimeoutError:
            raise PeerTimeout(f"{self._name} could not be reached in time.") from None
        except aiohttp.ClientConnectorError:
            raise Unavailable(f"{self._name} cannot be reached.") from None
        except aiohttp.ClientError as error:
            raise BadPeer(f"{self._name} broke off before it answered ({type(error).__name__}).") from None
        try:
            yield answer
        finally:
            answer.close()  # whatever is left of it is not wanted; after a whole answer the connection is back already

    def _headers(self) -> dict[str, str]:
        key = self._declared.api_key
        return {
            "content-type": "application/json",
            "accept-encoding": "identity",
            CORRELATION_HEADER: correlation_id.get(),
            **({"authorization": f"Bearer {key.get_secret_value()}"} if key else {}),
        }

    async def _within(self, seconds: float, work: Any) -> Any:
        """The result of `work`, or PeerTimeout once the provider's time, or the caller's, is up."""
        limit = deadline.within(seconds)
        try:
            async with asyncio.timeout(limit):
                return await work
        except aiohttp.ServerTimeoutError:  # a TimeoutError too, but of the connection
            raise
        except TimeoutError:
            raise PeerTimeout(f"{self._name} did not answer within {limit:g} s.") from None

    async def _check(self, answer: aiohttp.ClientResponse, order: Order) -> None:
        """Raise what a status other than 200, or a kind of answer nobody asked for, means."""
        if answer.status != 200:
            body = await self._read(answer, _ERROR_BYTES, self._declared.stall_sec)
            raise refusal(self._name, answer.status, answer.headers.get("retry-after"), redacted(_text(body)))
        kind = "text/event-stream" if order.stream else "application/json"
        if answer.content_type != kind or answer.headers.get("content-encoding", "identity") != "identity":
            raise BadPeer(f"{self._name} answered with {answer.content_type[:64]!r} instead of {kind}.")

    async def _whole(self, answer: aiohttp.ClientResponse) -> bytes:
        body = await self._read(answer, _LARGEST_ANSWER, self._declared.total_sec)
        return whole_answer(self._name, body)

    async def _read(self, answer: aiohttp.ClientResponse, limit: int, seconds: float) -> bytes:
        async def read() -> bytes:
            body = bytearray()
            async for piece in answer.content.iter_any():
                body += piece
                if len(body) > limit:
                    raise BadPeer(f"The answer of {self._name} is over {limit} bytes.")
            return bytes(body)

        try:
            return bytes(await self._within(seconds, read()))
        except _CUT:
            raise BadPeer(f"{self._name} broke off in the middle of its answer.") from None

    async def _pieces(self, answer: aiohttp.ClientResponse, check: StreamCheck) -> AsyncGenerator[bytes, None]:
        """Whole events of the stream; the first raise is a plain error, any later one BrokenOff."""
        begun = False
        try:
            while not check.is_over:
                piece = await self._within(self._declared.stall_sec if begun else _UNBOUND, answer.content.readany())
                passed = check.passed(piece) if piece else check.ended()
                if passed:
                    begun = True
                    yield passed
        except VX11Error as error:
            raise (BrokenOff(error) if begun else error) from None
        except _CUT:
            cut = BadPeer(f"{self._name} broke off in the middle of its answer.")
            raise (BrokenOff(cut) if begun else cut) from None


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")
