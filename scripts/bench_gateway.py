"""The door beside a bare pass-through: requests a second, added latency, streams, memory.

The peer is the least that can stand in the door's place: a plain ASGI function on uvicorn that passes
bytes on with aiohttp, with no auth, no limits, no waking and no metrics. Both stand in front of the same
upstream, which answers at once, and are driven in turn by the same load, all on this machine in one run.

    python -m scripts.bench_gateway            prints JSON
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import httpx
import uvicorn

from config.settings import inherited_environment

ROUNDS = 5
SECONDS = 2.0
TOKEN = "vx11_bench-token-of-one-run"
REPOSITORY = Path(__file__).resolve().parent.parent
_BODY = b'{"model":"m","messages":[{"role":"user","content":"hello"}]}'
_ANSWER = b'{"id":"1","object":"chat.completion","choices":[{"message":{"content":"hello there"}}]}'
_CHUNKS = [b'data: {"choices":[{"delta":{"content":"word"}}]}\n\n'] * 100


# --- the three servers -------------------------------------------------------------------------------


async def upstream(scope, receive, send):  # type: ignore[no-untyped-def]
    """Answers at once: a small JSON, or 100 chunks for /v1/completions."""
    if scope["type"] == "lifespan":
        return await _lifespan(receive, send)
    while (await receive()).get("more_body"):
        pass
    if scope["path"] == "/v1/completions":
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for chunk in _CHUNKS:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return None
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(_ANSWER)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _ANSWER})


async def madre(scope, receive, send):  # type: ignore[no-untyped-def]
    """Says that everybody is awake for an hour."""
    if scope["type"] == "lifespan":
        return await _lifespan(receive, send)
    body = b'{"service":"switch","state":"ready","lease_sec":3600}'
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


class BarePassage:
    """The peer."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope, receive, send):  # type: ignore[no-untyped-def]
        if scope["type"] == "lifespan":
            return await _lifespan(receive, send)
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), auto_decompress=False, timeout=aiohttp.ClientTimeout()
            )
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"] if name != b"host"}
        async with self._session.request(
            scope["method"], self._target + scope["path"], data=body, headers=headers
        ) as answer:
            kept = [(name, value) for name, value in answer.raw_headers if name.lower() != b"transfer-encoding"]
            await send({"type": "http.response.start", "status": answer.status, "headers": kept})
            async for piece in answer.content.iter_any():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


async def _lifespan(receive, send):  # type: ignore[no-untyped-def]
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


def serve(role: str, port: int, target: str) -> None:
    """Run one of the plain servers."""
    app = {"upstream": lambda: upstream, "madre": lambda: madre, "bare": lambda: BarePassage(target)}[role]()
    uvicorn.run(app, host="127.0.0.1", port=port, log_config=None, access_log=False)


# --- the load ----------------------------------------------------------------------------------------


@dataclass
class Load:
    """One way to ask: what to send, how many connections, how an answer's end is known."""

    name: str
    path: str
    connections: int
    streams: bool

    def request(self) -> bytes:
        """The bytes of one HTTP/1.1 request."""
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: bench\r\nX-VX11-Token: {TOKEN}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(_BODY)}\r\n\r\n"
        )
        return head.encode() + _BODY


@dataclass
class Tally:
    """Finished answers: how many, and how long each took (seconds)."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds


class _Connection(asyncio.Protocol):
    """Sends a request, waits for its whole answer, sends the next; as little Python as possible."""

    def __init__(self, load: Load, tally: Tally, until: float) -> None:
        self._request, self._streams = load.request(), load.streams
        self._tally, self._until = tally, until
        self._received = b""
        self._began = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def _next(self) -> None:
        self._received = b""
        self._began = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._is_whole():
            return
        if not self._received.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(self._received[:300].decode()))
            return
        now = time.perf_counter()
        self._tally.latencies.append(now - self._began)
        if now < self._until:
            self._next()
        elif not self.done.done():
            self._transport.close()
            self.done.set_result(None)

    def _is_whole(self) -> bool:
        if self._streams:
            return self._received.endswith(b"0\r\n\r\n")
        head, found, body = self._received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if found and length is None:
            return self._received.endswith(b"0\r\n\r\n")
        return bool(found and length and len(body) >= int(length[1]))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("closed in the middle"))


async def drive(load: Load, port: int, seconds: float) -> Tally:
    """Ask over `load.connections` connections for `seconds`."""
    tally, began = Tally(), time.perf_counter()
    loop = asyncio.get_running_loop()
    until = began + seconds
    made = [
        await loop.create_connection(lambda: _Connection(load, tally, until), "127.0.0.1", port)
        for _ in range(load.connections)
    ]
    await asyncio.gather(*(connection.done for _, connection in made))
    tally.seconds = time.perf_counter() - began
    return tally


# --- the run -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _process(*argv: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, *argv], cwd=REPOSITORY, env=env)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=10)


@contextlib.asynccontextmanager
async def _ready(port: int, path: str) -> AsyncIterator[None]:
    async with httpx.AsyncClient() as client:
        for _ in range(200):
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(f"http://127.0.0.1:{port}{path}")).status_code < 500:
                    break
            await asyncio.sleep(0.05)
        else:
            raise TimeoutError(f"nothing answers on port {port}")
    yield


def _memory_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Rss:")).split()[1]) / 1024


def _summary(name: str, runs: dict[str, list[Tally]]) -> dict[str, object]:
    rate = {who: statistics.median(run.per_second for run in tallies) for who, tallies in runs.items()}
    p50 = {who: statistics.median(statistics.median(run.latencies) for run in all_) for who, all_ in runs.items()}
    return {
        "load": name,
        "requests_per_second": {who: round(value, 1) for who, value in rate.items()},
        "ratio_to_bare": round(rate["door"] / rate["bare"], 3),
        "p50_ms": {who: round(value * 1000, 3) for who, value in p50.items()},
        "added_p50_ms_over_bare": round((p50["door"] - p50["bare"]) * 1000, 3),
        "added_p50_ms_over_direct": round((p50["door"] - p50["direct"]) * 1000, 3),
    }


async def measure(ports: dict[str, int], pid: int) -> dict[str, object]:
    """Every load over every server, in turn, `ROUNDS` times."""
    loads = [
        Load("json, 1 connection", "/v1/chat/completions", 1, False),
        Load("json, 64 connections", "/v1/chat/completions", 64, False),
        Load("100 chunks, 1 connection", "/v1/completions", 1, True),
        Load("100 chunks, 64 connections", "/v1/completions", 64, True),
    ]
    results = []
    for load in loads:
        runs: dict[str, list[Tally]] = {who: [] for who in ports}
        for _ in range(ROUNDS):
            for who, port in ports.items():
                runs[who].append(await drive(load, port, SECONDS))
        results.append(_summary(load.name, runs))
    return {"bench": "gateway", "rounds": ROUNDS, "loads": results, "door_rss_mb": round(_memory_mb(pid), 1)}


async def main() -> dict[str, object]:
    """Start the servers, measure, stop them."""
    offset = 12_340
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        own = {name: value for name, value in inherited_environment().items() if not name.startswith("VX11_")}
        env = {
            **own,
            "VX11_TOKEN": TOKEN,
            "VX11_DATA_PATH": folder,
            "VX11_PORT_OFFSET": str(offset),
            "VX11_GATEWAY_RATE_PER_SEC": "1000000",
            "VX11_GATEWAY_RATE_BURST": "1000000",
        }
        ports = {"direct": 8002 + offset, "bare": 8009 + offset, "door": 8000 + offset}
        me = ("-m", "scripts.bench_gateway", "--serve")
        stack.enter_context(_process(*me, "upstream", "--port", str(ports["direct"])))
        stack.enter_context(_process(*me, "madre", "--port", str(8001 + offset)))
        target = f"http://127.0.0.1:{ports['direct']}"
        stack.enter_context(_process(*me, "bare", "--port", str(ports["bare"]), "--target", target))
        subprocess.run([sys.executable, "-m", "config", "migrate"], cwd=REPOSITORY, env=env, check=True)
        door = stack.enter_context(_process("-m", "config", "tentaculo_link", env=env))
        async with _ready(ports["bare"], "/"), _ready(ports["door"], "/ready"):
            return await measure(ports, door.pid)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", choices=["upstream", "madre", "bare"])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--target", default="")
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve, arguments.port, arguments.target)
    else:
        print(json.dumps(asyncio.run(main()), indent=2))
