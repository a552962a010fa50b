"""`https:` sources: a file from a web server, continued where it stopped, in the face of real networks.

A cut connection is tried again and continues by byte range; If-Range makes the server send the whole file
where it has changed since, and a server that ignores ranges is noticed by its answer. Only tries without
any new byte are counted. A file that is no longer the one that was looked at is not fetched: SourceChanged.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from typing import Final

from config.errors import BadPeer, Unavailable
from hermes.adapters.receiver import Receiver
from hermes.adapters.shelf import Shelf, Tray
from hermes.adapters.weather import disk_weather
from hermes.adapters.web import Web
from hermes.adapters.work import JobWork
from hermes.http_ranges import Answered, Origin, read_answer, request_headers
from hermes.orders import Expectation
from hermes.sources import WebSource
from hermes.window import ensure_opening

_TRIES: Final = 5
_LONGEST_PAUSE_SEC: Final = 30.0
_LONGEST_OBEYED_SEC: Final = 600.0  # of a server's Retry-After
_ROOM_EVERY_BYTES: Final = 64 << 20  # how often the free space is looked at again
_log = logging.getLogger(__name__)


class SourceChanged(Exception):
    """The file is not the one that was looked at before; nothing of it was kept."""


class WebFetcher:
    """Fetches over HTTP; `pause` is how it waits between tries."""

    def __init__(
        self,
        web: Web,
        shelf: Shelf,
        chunk_bytes: int,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._web = web
        self._shelf = shelf
        self._chunk_bytes = chunk_bytes
        self._pause = pause

    async def fetch(self, source: WebSource, tray: Tray, expected: Expectation, work: JobWork) -> str:
        """Bring the file into the tray; its SHA-256."""
        with Receiver(tray.partial) as receiver:
            work.downloading(expected.size_bytes)
            have = await work.in_thread(receiver.take_over)
            work.meter.starts_at(have)
            await self._until_whole(source, tray, receiver, expected.seen, work)
            return await work.in_thread(receiver.finish)

    async def _until_whole(
        self, source: WebSource, tray: Tray, receiver: Receiver, seen: Origin | None, work: JobWork
    ) -> None:
        failures = 0
        while True:
            before = receiver.size
            try:
                if await self._one_try(source, tray, receiver, seen, work):
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
            await self._pause(pause_after(failures, failure.retry_after_sec))

    async def _one_try(
        self, source: WebSource, tray: Tray, receiver: Receiver, seen: Origin | None, work: JobWork
    ) -> bool:
        """Whether the file is whole after this request; Unavailable where another may help."""
        headers = request_headers(receiver.size, _read_origin(tray))
        async with self._web.opened(source.url, headers) as opened:
            answer = read_answer(opened.status, opened.headers, receiver.size)
            if answer.act == "scratch":
                receiver.restart()
                return False
            if answer.act == "restart":
                receiver.restart()
                work.meter.starts_at(0)
                origin = Origin.of(opened.headers, answer.total)
                if seen is not None and origin.is_other_than(seen):
                    raise SourceChanged
                _write_origin(tray, origin)
            if answer.act != "complete":
                await self._body(opened.chunks(self._chunk_bytes), answer, receiver, work)
        return _is_whole(receiver.size, answer.total)

    async def _body(self, chunks: AsyncIterator[bytes], answer: Answered, receiver: Receiver, work: JobWork) -> None:
        looked_at = receiver.size
        work.at(receiver.size, answer.total)
        self._shelf.ensure_room(0 if answer.total is None else answer.total - receiver.size)
        async for chunk in chunks:
            await work.in_thread(receiver.write, chunk)
            work.at(receiver.size, answer.total)
            if receiver.size == len(chunk):
                ensure_opening(chunk)
            if receiver.size - looked_at >= _ROOM_EVERY_BYTES:
                looked_at = receiver.size
                self._shelf.ensure_room(0)


def pause_after(failures: int, asked_for: float | None) -> float:
    """Seconds to wait: what the server asked for, else twice as long each time."""
    if asked_for is not None:
        return min(_LONGEST_OBEYED_SEC, asked_for)
    return min(_LONGEST_PAUSE_SEC, 0.5 * 2.0**failures)


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
