"""Docker's engine, spoken to over its socket: which containers there are, what happens to them, how one is stopped.

The few calls that drivers need of the Engine API (docs.docker.com/reference/api/engine), in the newest version that the
engine has; every field read here has been in it since 1.41 (Engine 20.10). Asynchronous through and through, so that a
hung engine costs a deadline and not a thread; decision 0016 says what the official SDK would have cost instead.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from yarl import URL

from config.clients import ByteClient
from config.errors import Conflict, NotFound, Unavailable

Filters = Mapping[str, Sequence[str]]
_ANSWER_SEC: Final = 5.0
_FRAME: Final = struct.Struct(">BxxxL")  # which stream, and how many bytes follow


class Engine:
    """The engine at `address`: `unix:///path` or `tcp://host:port`. Use it inside a running event loop.

    `client` makes its byte pipe: `Clients.streams` also closes it, after `byte_client` one calls `close()`.

    Every call raises Unavailable when the engine does not answer, fails or forbids it, NotFound for what it does not
    know and Conflict where the thing is in a state that does not allow it.
    """

    def __init__(self, address: str, client: Callable[..., ByteClient]) -> None:
        scheme, _, place = address.partition("://")
        self._socket = place if scheme == "unix" else None
        self._base = "http://engine" if scheme == "unix" else f"http://{place}"
        self._client = client
        self._http: ByteClient | None = None
        self._version = ""

    async def get(self, path: str, **query: str) -> Any:
        """GET `path`: the JSON of the answer."""
        return json.loads(await self._call("GET", path, query))

    async def text(self, path: str, **query: str) -> bytes:
        """GET `path`: the bytes of the answer."""
        return await self._call("GET", path, query)

    async def post(self, path: str, body: Any = None, *, within_sec: float = _ANSWER_SEC, **query: str) -> Any:
        """POST to `path`: the JSON of the answer, None where there is none (as when nothing had to be changed)."""
        answer = await self._call("POST", path, query, body, within_sec)
        return json.loads(answer) if answer else None

    async def events(self, filters: Filters) -> AsyncIterator[dict[str, Any]]:
        """What happens from now on, until the engine goes away: then Unavailable."""
        async with self._answer("GET", "/events", {"filters": filter_of(filters)}) as answer:
            async for line in answer.content:
                yield json.loads(line)
        raise Unavailable("Docker's engine ended its stream of events.", retry_after_sec=1)

    async def _call(
        self, method: str, path: str, query: Mapping[str, str], body: Any = None, within_sec: float = _ANSWER_SEC
    ) -> bytes:
        try:
            async with asyncio.timeout(within_sec), self._answer(method, path, query, body) as answer:
                return await answer.read()
        except TimeoutError:
            raise Unavailable(f"Docker's engine did not answer within {within_sec:g} s.", retry_after_sec=1) from None

    @asynccontextmanager
    async def passing(
        self, method: str, path: str, query: Mapping[str, str], body: Any = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request as it is, `path` with its version; the answer whatever it says."""
        headers = {} if body is None else {"content-type": "application/json"}
        url = URL(f"{self._base}{path}", encoded=True)
        async with self._pipe().request(method, url, params=query, json=body, headers=headers) as answer:
            yield answer

    async def close(self) -> None:
        """Close its connections, where nobody else does."""
        await self._pipe().close()

    @asynccontextmanager
    async def _answer(
        self, method: str, path: str, query: Mapping[str, str], body: Any = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self.passing(method, f"{await self._versioned()}{path}", query, body) as answer:
                await _refused(answer)
                yield answer
        except (aiohttp.ClientError, OSError) as error:
            self._version = ""  # whoever answers next may be another
            raise Unavailable("Docker's engine does not answer.", retry_after_sec=1) from error

    async def _versioned(self) -> str:
        """The beginning of every path: the newest version of the API that this engine speaks."""
        if not self._version:
            async with self.passing("GET", "/_ping", {}) as answer:
                self._version = f"/v{answer.headers.get('Api-Version', '1.41')}"
        return self._version

    def _pipe(self) -> ByteClient:
        if self._http is None:
            self._http = self._client(unix_socket=self._socket)
        return self._http


def filter_of(filters: Filters) -> str:
    """The `filters` of a query as the engine wants them."""
    return json.dumps({name: list(values) for name, values in filters.items()})


def unframed(log: bytes) -> str:
    """The text of a container's log: what it wrote to stdout and stderr, without the frames around each piece.

    A container with a terminal has no frames; what does not begin like one is taken as it is.
    """
    text, at = bytearray(), 0
    while at + _FRAME.size <= len(log):
        stream, size = _FRAME.unpack_from(log, at)
        if stream > 2:
            return log.decode(errors="replace")
        at += _FRAME.size
        text += log[at : at + size]
        at += size
    return text.decode(errors="replace")


async def _refused(answer: aiohttp.ClientResponse) -> None:
    """Raise what an answer that is no success means."""
    if answer.status < 400:
        return
    said = await answer.text(errors="replace")
    try:
        said = json.loads(said)["message"]
    except (ValueError, KeyError, TypeError):
        said = said.strip()
    if answer.status == 404:
        raise NotFound(said)
    if answer.status == 409:
        raise Conflict(said)
    raise Unavailable(f"Docker's engine refused: {said}", retry_after_sec=1)
