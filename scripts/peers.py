"""The plain servers that the door's bench needs: what stands behind the door, and what it is compared with.

python -m scripts.peers upstream|madre|bare --port N [--target URL]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import aiohttp
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

ANSWER = b'{"id":"1","object":"chat.completion","choices":[{"message":{"content":"hello there"}}]}'
CHUNKS = [b'data: {"choices":[{"delta":{"content":"word"}}]}\n\n'] * 100
_AWAKE = b'{"service":"switch","state":"ready","lease_sec":3600}'


async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers at once: a small JSON, or 100 chunks for /v1/completions."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    await _body(receive)
    if scope["path"] == "/v1/completions":
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for chunk in CHUNKS:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    else:
        await _whole(send, ANSWER)


async def madre(scope: Scope, receive: Receive, send: Send) -> None:
    """Says that everybody is awake for an hour."""
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
    else:
        await _whole(send, _AWAKE)


class BarePassage:
    """The least that can stand in the door's place: bytes through aiohttp, and nothing else."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"] if name != b"host"}
        sending = self._session.request(
            scope["method"], self._target + scope["path"], data=await _body(receive), headers=headers
        )
        async with sending as answer:
            kept = [(name, value) for name, value in answer.raw_headers if name.lower() != b"transfer-encoding"]
            await send({"type": "http.response.start", "status": answer.status, "headers": kept})
            async for piece in answer.content.iter_any():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


async def _whole(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


def main() -> None:
    """Serve one of them on loopback."""
    roles: dict[str, Callable[[str], ASGIApp]] = {
        "upstream": lambda _target: upstream,
        "madre": lambda _target: madre,
        "bare": BarePassage,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", choices=roles)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--target", default="")
    wanted = parser.parse_args()
    app = roles[wanted.role](wanted.target)
    uvicorn.run(app, host="127.0.0.1", port=wanted.port, log_config=None, access_log=False)


if __name__ == "__main__":
    main()
