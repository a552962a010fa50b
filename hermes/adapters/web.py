"""`https:` sources: a file from a web server, continued where it stopped, in the face of real networks.

A cut connection is tried again and continues by byte range; If-Range makes the server send the whole file
where it has changed since, and a server that ignores ranges is noticed by its answer. Only tries without
any new byte are counted.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Final

import httpx

from config.errors import BadModelFile, BadPeer, Unavailable
from hermes.adapters.receiver import Receiver
from hermes.adapters.shelf import Shelf, Tray
from hermes.adapters.weather import disk_weather
from hermes.adapters.work import JobWork
from hermes.gguf import MAGIC
from hermes.http_ranges import Answered, Origin, read_answer, request_headers
from hermes.orders import Expectation
from hermes.sources import WebSource, is_safe_hop

_TRIES: Final = 5
_MAX_HOPS: Final = 8
_LONGEST_PAUSE_SEC: Final = 30.0
_LONGEST_OBEYED_SEC: Final = 600.0  # of a server's Retry-After
_ROOM_EVERY_BYTES: Final = 64 << 20  # how often the free space is looked at again
Client = httpx.AsyncClient  # noqa: TID251  # named as a type only; config/clients.py makes it
_log = logging.getLogger(__name__)


class WebFetcher:
    """Fetches over HTTP; `pause` is how it waits between tries."""

    def __init__(
        self,
        client: Callable[[], Client],
        shelf: Shelf,
        chunk_bytes: int,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._make_client = client
        self._client: Client | None = None
        self._shelf = shelf
        self._chunk_bytes = chunk_bytes
        self._pause = pause

    async def fetch(self, source: WebSource, tray: Tray, expected: Expectation, work: JobWork) -> str:
        """Bring the file into the tray; its SHA-256."""
        with Receiver(tray.partial) as receiver:
            work.downloading(expected.size_bytes)
            have = await work.in_thread(receiver.take_over)
            work.meter.starts_at(have)
            await self._until_whole(source, tray, receiver, work)
            return await work.in_thread(receiver.finish)

    async def _until_whole(self, source: WebSource, tray: Tray, receiver: Receiver, work: JobWork) -> None:
        failures = 0
        while True:
            before = receiver.size
            try:
                if await self._one_try(source, tray, receiver, work):
                    return
                failure = Unavailable("The server could not continue the file; it starts again.")
            except Unavailable as error:
                failure = error
            failures = 1 if receiver.size > before else failures + 1
            if failures >= _TRIES:
                raise Unavailable(
                    f"{failure.detail} Given up after {_TRIES} tries without progress.",
                    hint=f"Pull it again: it continues after the {receiver.size} bytes that are here.",
                )
            _log.warning("download interrupted at byte %d: %s", receiver.size, failure.detail)
            await self._pause(_pause_after(failures, failure.retry_after_sec))

    async def _one_try(self, source: WebSource, tray: Tray, receiver: Receiver, work: JobWork) -> bool:
        """Whether the file is whole after this request; Unavailable where another may help."""
        origin = _read_origin(tray)
        headers = request_headers(receiver.size, origin)
        try:
            async with self._opened(source.url, headers) as response:
                answer = read_answer(response.status_code, response.headers, receiver.size)
                if answer.act == "scratch":
                    receiver.restart()
                    return False
                if answer.act == "restart":
                    receiver.restart()
                    work.meter.starts_at(0)
                    _write_origin(tray, Origin.of(response.headers, answer.total))
                if answer.act != "complete":
                    await self._body(response, answer, receiver, work)
        except httpx.TransportError as error:
            raise Unavailable(f"The connection failed ({type(error).__name__}).") from error
        except (httpx.InvalidURL, UnicodeError) as error:  # the latter from hosts that are no IDNA names
            raise BadPeer("The address of the source, or one it sends us on to, cannot be read.") from error
        return _is_whole(receiver.size, answer.total)

    @asynccontextmanager
    async def _opened(self, url: str, headers: dict[str, str]) -> AsyncIterator[httpx.Response]:
        """The answer at the end of the redirects; an unsafe hop is refused before it is asked anything."""
        for _ in range(_MAX_HOPS):
            async with self._http().stream("GET", url, headers=headers, follow_redirects=False) as response:
                if response.next_request is None:
                    yield response
                    return
                url = str(response.next_request.url)
            if not is_safe_hop(url):
                raise BadPeer("The server sends us on to an address without TLS; its bytes could be anybody's.")
        raise BadPeer(f"The server sends us on and on; given up after {_MAX_HOPS} addresses.")

    async def _body(self, response: httpx.Response, answer: Answered, receiver: Receiver, work: JobWork) -> None:
        looked_at = receiver.size
        work.at(receiver.size, answer.total)
        self._shelf.ensure_room(0 if answer.total is None else answer.total - receiver.size)
        async for chunk in response.aiter_raw(self._chunk_bytes):
            await work.in_thread(receiver.write, chunk)
            work.at(receiver.size, answer.total)
            if receiver.size == len(chunk):
                _check_opening(chunk)
            if receiver.size - looked_at >= _ROOM_EVERY_BYTES:
                looked_at = receiver.size
                self._shelf.ensure_room(0)

    def _http(self) -> Client:
        if self._client is None:
            self._client = self._make_client()
        return self._client


def _pause_after(failures: int, asked_for: float | None) -> float:
    """Seconds to wait: what the server asked for, else twice as long each time."""
    if asked_for is not None:
        return min(_LONGEST_OBEYED_SEC, asked_for)
    return min(_LONGEST_PAUSE_SEC, 0.5 * 2.0**failures)


def _check_opening(chunk: bytes) -> None:
    """Stop at the first chunk of a web page or anything else that is no model."""
    if not chunk.startswith(MAGIC[: len(chunk)]):
        raise BadModelFile(f"The server sent something that is not GGUF: it begins with {chunk[:16]!r}.")


def _is_whole(size: int, total: int | None) -> bool:
    if total is None or size == total:
        return True
    if size > total:
        raise BadPeer(f"The server sent {size} bytes after announcing {total}.")
    raise Unavailable(f"The file was cut off at byte {size} of {total}.")


def _read_origin(tray: Tray) -> Origin:
    try:
        return Origin(**json.loads(tray.origin.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Origin()  # none yet, or half written: then the file starts again


def _write_origin(tray: Tray, origin: Origin) -> None:
    with disk_weather():
        tray.origin.write_text(json.dumps(asdict(origin)), encoding="utf-8")
