"""An HTTP server with weather: it cuts connections, ignores ranges, changes files, lies about lengths, hangs."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_RANGE = re.compile(r"bytes=(\d+)-")
_PIECE = re.compile(r"bytes=(\d+)-(\d+)")


@dataclass
class Served:
    """One file and how its requests go; `cuts` and `statuses` are used up one per request.

    A request for a piece (`bytes=0-99`: somebody looks at the header) is answered at once and stands in `looks`;
    cuts, statuses and holding are for downloads. What the file becomes (other bytes, another ETag): `after_look` once
    somebody has looked, `afterwards` once a request has been cut.
    """

    body: bytes
    etag: str | None = '"one"'
    ranges: bool = True
    if_range: bool = True
    status: int = 200
    statuses: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    afterwards: tuple[bytes, str] | None = None
    after_look: tuple[bytes, str] | None = None
    declared: int | None = None
    length: bool = True
    content_type: str = "application/octet-stream"
    headers: dict[str, str] = field(default_factory=dict)
    hold_at: int | None = None
    held: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    requests: list[dict[str, str]] = field(default_factory=list)
    looks: list[dict[str, str]] = field(default_factory=list)


class FileServer:
    """Files by path; `url` is the base address."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.url = ""

    def put(self, path: str, served: Served) -> str:
        """Serve a file; its address."""
        self.files[path] = served
        return self.url + path

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request a connection."""
        try:
            path, headers = await _request(reader)
            served = self.files.get(path) or self.files.get(path.partition("?")[0])
            if served is None:
                writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            elif served.status == 200 and (piece := _PIECE.fullmatch(headers.get("range", ""))):
                served.looks.append(headers)
                writer.write(_piece(served, int(piece[1]), int(piece[2])))
                if served.after_look is not None:
                    served.body, served.etag = served.after_look
            else:
                served.requests.append(headers)
                await _answer(served, headers, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away: part of the weather
        finally:
            writer.close()


def _piece(served: Served, first: int, last: int) -> bytes:
    if not served.ranges:
        return _head(served, 0, len(served.body)) + served.body
    body = served.body[first : last + 1]
    if not body:
        return f"HTTP/1.1 416 No\r\nContent-Range: bytes */{len(served.body)}\r\nContent-Length: 0\r\n\r\n".encode()
    total = len(served.body) if served.length and served.declared is None else served.declared or "*"
    lines = ["HTTP/1.1 206 Partial Content", "Connection: close", f"Content-Length: {len(body)}"]
    lines += [f"Content-Range: bytes {first}-{first + len(body) - 1}/{total}", f"Content-Type: {served.content_type}"]
    lines += [f"{key}: {value}" for key, value in served.headers.items()]
    if served.etag:
        lines.append(f"ETag: {served.etag}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


async def _request(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]]:
    raw = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = raw.strip().split("\r\n")
    headers = {key.lower(): value for key, value in (line.split(": ", 1) for line in lines)}
    return first.split(" ")[1], headers


async def _answer(served: Served, headers: dict[str, str], writer: asyncio.StreamWriter) -> None:
    status = served.statuses.pop(0) if served.statuses else served.status
    if status != 200:
        extra = "".join(f"{key}: {value}\r\n" for key, value in served.headers.items())
        writer.write(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\nConnection: close\r\n{extra}\r\n".encode())
        return
    start = _start(served, headers)
    body = served.body[start:]
    writer.write(_head(served, start, len(body)))
    await _send(served, body, writer)


def _start(served: Served, headers: dict[str, str]) -> int:
    match = _RANGE.fullmatch(headers.get("range", ""))
    if match is None or not served.ranges:
        return 0
    if served.if_range and headers.get("if-range") != served.etag:
        return 0
    return int(match[1])


def _head(served: Served, start: int, length: int) -> bytes:
    lines = ["HTTP/1.1 206 Partial Content" if start else "HTTP/1.1 200 OK", "Connection: close"]
    lines.append(f"Content-Type: {served.content_type}")
    lines += [f"{key}: {value}" for key, value in served.headers.items()]
    if start:
        lines.append(f"Content-Range: bytes {start}-{start + length - 1}/{start + length}")
    if served.length:
        lines.append(f"Content-Length: {length if served.declared is None else served.declared}")
    if served.etag:
        lines.append(f"ETag: {served.etag}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _send(served: Served, body: bytes, writer: asyncio.StreamWriter) -> None:
    if served.cuts:
        writer.write(body[: served.cuts.pop(0)])
        await writer.drain()
        if served.afterwards is not None:
            served.body, served.etag = served.afterwards
        if served.length:
            writer.transport.abort()
        return
    if served.hold_at is not None and not served.release.is_set():
        writer.write(body[: served.hold_at])
        await writer.drain()
        served.held.set()
        await served.release.wait()
        body = body[served.hold_at :]
    writer.write(body)


@asynccontextmanager
async def file_server() -> AsyncIterator[FileServer]:
    """A running server on a free loopback port."""
    server = FileServer()
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        for served in server.files.values():
            served.release.set()
        listening.close()
