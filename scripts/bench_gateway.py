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
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from config.settings import inherited_environment
from scripts.measuring import REPOSITORY, TOKEN, free_offset, median

ROUNDS = 5
SECONDS = 2.0
_TICKS_PER_SEC: int = os.sysconf("SC_CLK_TCK")
_BODY = b'{"model":"m","messages":[{"role":"user","content":"hello"}]}'


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
    cpu_seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Answers a second, over all connections."""
        return len(self.latencies) / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU time of the server for each answer, microseconds; steadier than rates on a busy machine."""
        return self.cpu_seconds / len(self.latencies) * 1e6


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


@dataclass
class Server:
    """One of the three that are compared: where it listens, and its process."""

    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """CPU time its process has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SEC

    def memory_mb(self) -> dict[str, float]:
        """Its resident and proportional set sizes, MiB."""
        lines = [line.split() for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()[1:]]
        sizes = {words[0]: int(words[1]) / 1024 for words in lines}
        return {"rss": round(sizes["Rss:"], 1), "pss": round(sizes["Pss:"], 1)}


async def measure(servers: dict[str, Server]) -> dict[str, object]:
    """Every load over every server, in turn, `ROUNDS` times."""
    loads = [
        Load("json, 1 connection", "/v1/chat/completions", 1, False),
        Load("json, 64 connections", "/v1/chat/completions", 64, False),
        Load("100 chunks, 1 connection", "/v1/completions", 1, True),
        Load("100 chunks, 64 connections", "/v1/completions", 64, True),
    ]
    results = []
    for load in loads:
        runs: dict[str, list[Tally]] = {who: [] for who in servers}
        for _ in range(ROUNDS):
            for who, server in servers.items():
                before = server.cpu_seconds()
                tally = await drive(load, server.port, SECONDS)
                tally.cpu_seconds = server.cpu_seconds() - before
                runs[who].append(tally)
        results.append(_summary(load.name, runs))
    return {"rounds": ROUNDS, "loads": results, "door_memory_mb": servers["door"].memory_mb()}


def _summary(name: str, runs: dict[str, list[Tally]]) -> dict[str, object]:
    rate = {who: median([run.per_second for run in tallies], 1) for who, tallies in runs.items()}
    p50_ms = {who: median([median(run.latencies, 6) * 1000 for run in tallies]) for who, tallies in runs.items()}
    cpu_us = {who: median([run.cpu_us for run in tallies], 0) for who, tallies in runs.items()}
    return {
        "load": name,
        "requests_per_second": rate,
        "ratio_to_bare": round(rate["door"] / rate["bare"], 3),
        "cpu_us_per_request": cpu_us,
        "cpu_ratio_bare_to_door": round(cpu_us["bare"] / cpu_us["door"], 3),
        "p50_ms": p50_ms,
        "added_p50_ms_over_bare": round(p50_ms["door"] - p50_ms["bare"], 3),
        "added_p50_ms_over_direct": round(p50_ms["door"] - p50_ms["direct"], 3),
    }


async def main() -> dict[str, object]:
    """Start the servers, measure, stop them."""
    offset = free_offset()
    direct, bare, door = 8002 + offset, 8009 + offset, 8000 + offset
    with contextlib.ExitStack() as stack:
        env = _environment(stack.enter_context(tempfile.TemporaryDirectory()), offset)
        _migrate(env)
        stack.enter_context(_process("scripts.peers", "madre", "--port", str(8001 + offset)))
        processes = {
            "direct": stack.enter_context(_process("scripts.peers", "upstream", "--port", str(direct))),
            "bare": stack.enter_context(
                _process("scripts.peers", "bare", "--port", str(bare), "--target", f"http://127.0.0.1:{direct}")
            ),
            "door": stack.enter_context(_process("config", "tentaculo_link", env=env)),
        }
        for port, path in ((direct, "/"), (bare, "/"), (door, "/ready")):
            await _until_ready(port, path)
        ports = {"direct": direct, "bare": bare, "door": door}
        return await measure({who: Server(ports[who], process.pid) for who, process in processes.items()})


def _migrate(env: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-m", "config", "migrate"], cwd=REPOSITORY, env=env, check=True)


def _environment(folder: str, offset: int) -> dict[str, str]:
    outside = {name: value for name, value in inherited_environment().items() if not name.startswith("VX11_")}
    return {
        **outside,
        "VX11_TOKEN": TOKEN,
        "VX11_DATA_PATH": folder,
        "VX11_PORT_OFFSET": str(offset),
        "VX11_GATEWAY_RATE_PER_SEC": "1000000",
        "VX11_GATEWAY_RATE_BURST": "1000000",
        "VX11_LOG_LEVEL": "warning",
    }


@contextlib.contextmanager
def _process(module: str, *arguments: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=REPOSITORY, env=env)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=10)


async def _until_ready(port: int, path: str) -> None:
    async with httpx.AsyncClient() as client:
        for _ in range(200):
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(f"http://127.0.0.1:{port}{path}")).status_code < 500:
                    return
            await asyncio.sleep(0.05)
    raise TimeoutError(f"nothing answers on port {port}")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print(json.dumps(asyncio.run(main()), indent=2))
