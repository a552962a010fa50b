"""An OpenAI endpoint on a loopback socket that misbehaves by plan: late, half, never, 429, 500, HTML, wrong JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
TEXT = "from afar"


@dataclass(frozen=True)
class Plan:
    """What one answer is: `does` good, half, never, stall (after its first event), junk, html or status."""

    does: str = "good"
    status: int = 500
    headers: tuple[str, ...] = ()
    body: str = ""
    usage: bool = True


@dataclass
class Endpoint:
    """The running endpoint. `plan` holds until it is changed; `hold` lets `never` and `stall` go on."""

    url: str = ""
    plan: Plan = field(default_factory=Plan)
    models: list[str] = field(default_factory=lambda: ["far"])
    requests: list[dict[str, Any]] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                method, path, headers = await _head(reader)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if method == "GET":
                    await _send(writer, json.dumps({"data": [{"id": name} for name in self.models]}))
                    continue
                request = json.loads(body)
                self.requests.append({"path": path, "headers": headers, "body": request})
                self.asked.set()
                if not await self._answer(reader, writer, request):
                    break
        writer.close()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: dict[str, Any]
    ) -> bool:
        """Answer by plan; whether the connection goes on."""
        plan = self.plan
        match plan.does:
            case "status":
                await _send(writer, plan.body, status=plan.status, headers=plan.headers)
            case "html":
                await _send(writer, "<html>It works!</html>", kind="text/html")
            case "junk":
                await _send(writer, '{"unexpected": true}', kind=_kind(request))
            case "never":
                await self._until_gone(reader)
                return False
            case _ if request.get("stream"):
                return await self._stream(reader, writer, request)
            case "half":
                await _send(writer, '{"choices": [{"mess', length=1000)
                return False
            case _:
                await _send(writer, json.dumps(_whole(request, plan)))
        return True

    async def _stream(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: dict[str, Any]
    ) -> bool:
        head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        await _event(writer, {"choices": [{"index": 0, "delta": {"content": "from "}, "finish_reason": None}]})
        if self.plan.does == "stall":
            await self._until_gone(reader)
            return False
        if self.plan.does == "half":
            return False
        await _event(writer, {"choices": [{"index": 0, "delta": {"content": "afar"}, "finish_reason": "stop"}]})
        if self.plan.usage and (request.get("stream_options") or {}).get("include_usage"):
            await _event(writer, {"choices": [], "usage": USAGE})
        await _chunk(writer, b"data: [DONE]\n\n")
        await _chunk(writer, b"")
        return True

    async def _until_gone(self, reader: asyncio.StreamReader) -> None:
        await reader.read(1)
        self.gone.set()


def _kind(request: dict[str, Any]) -> str:
    return "text/event-stream" if request.get("stream") else "application/json"


def _whole(request: dict[str, Any], plan: Plan) -> dict[str, Any]:
    if "input" in request:
        return {"object": "list", "data": [{"index": 0, "embedding": [0.5]}], "usage": USAGE}
    message = {"role": "assistant", "content": TEXT}
    usage = {"usage": USAGE} if plan.usage else {}
    return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], **usage}


async def _head(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ")
    pairs = (line.split(": ", 1) for line in lines[1:] if line)
    return method, path, {name.lower(): value for name, value in pairs}


async def _send(
    writer: asyncio.StreamWriter,
    body: str,
    *,
    status: int = 200,
    kind: str = "application/json",
    headers: tuple[str, ...] = (),
    length: int | None = None,
) -> None:
    lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", f"content-length: {length or len(body)}", *headers]
    writer.write("\r\n".join([*lines, "", body]).encode())
    await writer.drain()


async def _event(writer: asyncio.StreamWriter, body: dict[str, Any]) -> None:
    await _chunk(writer, b"data: " + json.dumps(body).encode() + b"\n\n")


async def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(b"%x\r\n%s\r\n" % (len(data), data))
    await writer.drain()


@asynccontextmanager
async def scripted_endpoint(**members: Any) -> AsyncIterator[Endpoint]:
    """A running endpoint; its `url` ends in `/v1`."""
    endpoint = Endpoint(**members)
    server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0)
    endpoint.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield endpoint
    finally:
        server.close()
