"""Asking web servers: redirects looked at before they are followed, credentials only for their own host.

The one module of hermes that knows httpx; its failures leave here as errors of the tree.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from config.errors import BadPeer, Unavailable
from hermes.http_ranges import Origin, piece_headers, read_piece, refusal
from hermes.sources import is_safe_hop

MAX_JSON_BYTES: Final = 16 << 20
_MAX_HOPS: Final = 8
_READ_BYTES: Final = 64 << 10
Client = httpx.AsyncClient  # noqa: TID251  # named as a type only; config/clients.py makes it


@dataclass(frozen=True, slots=True)
class Opened:
    """An answer whose body is still to be read; `linked` holds the X-Linked-… headers of the hops before it."""

    response: httpx.Response
    linked: Mapping[str, str]

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; names in lower case."""
        return self.response.headers

    def chunks(self, size: int) -> AsyncIterator[bytes]:
        """The body as it comes over the wire."""
        return self.response.aiter_raw(size)


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first bytes of a file, what its server says of it, and the hash the Hub links to it."""

    content: bytes
    origin: Origin
    linked_etag: str | None


def nobody(_url: str) -> dict[str, str]:
    """No host is told anything."""
    return {}


class Web:
    """Asks servers; `told` says which further headers a given address gets."""

    def __init__(self, client: Callable[[], Client], told: Callable[[str], dict[str, str]] = nobody) -> None:
        self._make_client = client
        self._client: Client | None = None
        self._told = told

    @asynccontextmanager
    async def opened(self, url: str, headers: dict[str, str]) -> AsyncIterator[Opened]:
        """The answer at the end of the redirects; an unsafe hop is refused before it is asked anything."""
        linked: dict[str, str] = {}
        with _network_weather():
            for _ in range(_MAX_HOPS):
                if not is_safe_hop(url):
                    raise BadPeer("The server sends us on to an address without TLS; its bytes could be anybody's.")
                asked = {**headers, **self._told(url)}
                async with self._http().stream("GET", url, headers=asked, follow_redirects=False) as response:
                    linked |= {name: value for name, value in response.headers.items() if name.startswith("x-linked-")}
                    if response.next_request is None:
                        yield Opened(response, linked)
                        return
                    url = str(response.next_request.url)
            raise BadPeer(f"The server sends us on and on; given up after {_MAX_HOPS} addresses.")

    async def json(self, url: str) -> tuple[Any, Mapping[str, str]]:
        """A JSON answer and its headers; BadPeer for anything else, the errors of `refusal` for a bad status."""
        async with self.opened(url, {"accept": "application/json", "accept-encoding": "identity"}) as opened:
            if opened.status != 200:
                raise refusal(opened.status, opened.headers)
            body = await _up_to(opened, MAX_JSON_BYTES + 1)
        if len(body) > MAX_JSON_BYTES:
            raise BadPeer(f"The server's listing is larger than {MAX_JSON_BYTES} bytes.")
        try:
            return await asyncio.to_thread(json.loads, body), opened.headers
        except (ValueError, RecursionError):
            raise BadPeer(f"The server answered something that is no JSON: it begins with {body[:16]!r}.") from None

    async def beginning(self, url: str, have: bytes, until: int) -> Beginning:
        """`have` and what follows it, `until` bytes in all where the file has so many.

        From a server that ignores ranges the bytes are read from the first again, and no more than these.
        """
        async with self.opened(url, piece_headers(len(have), until)) as opened:
            first, origin = read_piece(opened.status, opened.headers, len(have))
            content = have[:first] if opened.status == 416 else have[:first] + await _up_to(opened, until - first)
        linked = opened.linked.get("x-linked-etag", "").removeprefix("W/").strip('"')
        return Beginning(content, origin, linked or None)

    def _http(self) -> Client:
        if self._client is None:
            self._client = self._make_client()
        return self._client


async def _up_to(opened: Opened, most: int) -> bytes:
    """The first `most` bytes of a body; the rest is never asked of the network."""
    body = bytearray()
    if most > 0:
        async for chunk in opened.chunks(_READ_BYTES):
            body += chunk
            if len(body) >= most:
                break
    return bytes(body[:most])


@contextmanager
def _network_weather() -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        raise Unavailable(f"The connection failed ({type(error).__name__}).") from error
    except (httpx.InvalidURL, UnicodeError) as error:  # the latter from hosts that are no IDNA names
        raise BadPeer("The address of the source, or one it sends us on to, cannot be read.") from error
