"""A model's worker process, from Switch's side: spawn it, talk to it over its Unix socket, end it.

The protocol of its stdin and stdout is written in `switch/worker/spec.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path

import aiohttp

from config.clients import CORRELATION_HEADER, ByteClient, Clients
from config.errors import ModelFailed
from config.logs import correlation_id
from config.settings import inherited_environment
from config.streaming import Head
from switch.worker.spec import WorkerSpec, worker_environment

_GRACE_SEC = 5.0
_MIB_KB = 1024
_PASSED_HEADERS = (b"content-type", b"cache-control", b"retry-after")


class Worker:
    """One running worker. Made by `start`; `gone` is done when its process has ended."""

    def __init__(self, process: asyncio.subprocess.Process, session: ByteClient, socket: Path) -> None:
        self._process = process
        self._session = session
        self._socket = socket
        self.gone = asyncio.ensure_future(process.wait())

    @classmethod
    async def start(
        cls, spec: WorkerSpec, clients: Clients, timeout_sec: float, on_progress: Callable[[float], None]
    ) -> Worker:
        """Spawn a worker and wait until its model answers; ModelFailed says why it does not.

        A worker that dies without a word crashed inside the library: it is tried once more without the
        CPU-specific buffers, which is where native builds have crashed (docs of the canary).
        """
        try:
            return await cls._start_once(spec, clients, timeout_sec, on_progress)
        except _Crashed as crash:
            if not spec.use_extra_bufts:
                raise ModelFailed(str(crash)) from crash
        try:
            return await cls._start_once(replace(spec, use_extra_bufts=False), clients, timeout_sec, on_progress)
        except _Crashed as crash:
            raise ModelFailed(f"{crash}, twice: with the CPU's extra buffers and without") from crash

    @classmethod
    async def _start_once(
        cls, spec: WorkerSpec, clients: Clients, timeout_sec: float, on_progress: Callable[[float], None]
    ) -> Worker:
        socket = Path(spec.socket_path)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "switch.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=worker_environment(inherited_environment()),
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(timeout_sec):
                await _until_ready(process, spec, on_progress)
        except BaseException as error:
            await _end(process)
            if isinstance(error, TimeoutError):
                raise ModelFailed(f"not loaded within {timeout_sec:g} s") from None
            raise
        return cls(process, clients.streams(unix_socket=str(socket)), socket)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def memory_mb(self) -> float | None:
        """Its proportional set size in MiB, as the kernel counts it now; None when it is gone."""
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    return int(line.split()[1]) / _MIB_KB
        return None

    async def ask(self, path: str, body: bytes) -> AsyncGenerator[Head | bytes, None]:
        """POST `body` to the worker: the head of its answer, then the pieces as they come.

        Closing the generator closes the connection, which makes the worker drop the request at once.
        Raises aiohttp.ClientError when the worker dies on the way.
        """
        headers = {"content-type": "application/json", CORRELATION_HEADER: correlation_id.get()}
        async with self._session.post(f"http://worker{path}", data=body, headers=headers) as answer:
            kept = [(name.lower(), value) for name, value in answer.raw_headers]
            yield Head(answer.status, tuple(pair for pair in kept if pair[0] in _PASSED_HEADERS))
            while not answer.content.at_eof():
                piece = await answer.content.readany()
                if piece:
                    yield piece

    async def stop(self) -> None:
        """End the process: closing its stdin asks, the signal after a grace insists."""
        await self._session.close()
        await _end(self._process)
        self._socket.unlink(missing_ok=True)


class _Crashed(Exception):
    """The worker ended without a word."""


async def _until_ready(
    process: asyncio.subprocess.Process, spec: WorkerSpec, on_progress: Callable[[float], None]
) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(ConnectionError):  # it died at once; what it said is still to be read
        process.stdin.write(spec.line().encode())
        await process.stdin.drain()
    async for line in process.stdout:
        said = json.loads(line)
        if said["event"] == "loading":
            on_progress(said["progress"])
        elif said["event"] == "ready":
            return
        else:
            raise ModelFailed(said["detail"])
    code = await process.wait()
    raise _Crashed(f"its worker ended with {_name_of(code)} while loading")


def _name_of(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(_GRACE_SEC):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

