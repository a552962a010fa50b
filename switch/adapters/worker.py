"""A model's worker process, from Switch's side: spawn it, talk to it over its Unix socket, end it.

The protocol of its stdin and stdout is written in `switch/worker/spec.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp

from config.clients import CORRELATION_HEADER, ByteClient, Clients
from config.errors import ModelFailed
from config.logs import correlation_id
from config.memory import pss_mb
from config.settings import inherited_environment
from config.streaming import Head
from switch.worker.spec import WorkerSpec, worker_environment

_log = logging.getLogger(__name__)
_DEATH_SEC = 1.0
_PASSED_HEADERS = (b"content-type", b"cache-control", b"retry-after")


@dataclass(frozen=True, slots=True)
class Program:
    """What a worker process runs, and how long it is given to leave when it is asked to."""

    command: tuple[str, ...] = (sys.executable, "-m", "switch.worker")
    grace_sec: float = 5.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long loading may take in all, and how long a worker may show no sign of getting on."""

    load_sec: float
    stall_sec: float


class Worker:
    """One running worker. Made by `start`; `gone` is done when its process has ended. `spec` is how it runs, `proved`
    what its canary found out (`WorkerSpec.proved`)."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        session: ByteClient,
        spec: WorkerSpec,
        grace_sec: float,
        proved: str = "",
    ) -> None:
        self.spec = spec
        self.proved = proved
        self.gone = asyncio.ensure_future(process.wait())
        self._process = process
        self._session = session
        self._grace_sec = grace_sec
        self._killed_because = ""

    @classmethod
    async def start(
        cls,
        spec: WorkerSpec,
        clients: Clients,
        *,
        program: Program,
        patience: Patience,
        on_progress: Callable[[float], None],
    ) -> Worker:
        """Spawn a worker and wait until its model answers; ModelFailed says why it does not.

        A worker that dies without a word crashed inside the library: it is tried once more without the
        CPU-specific buffers, which is where native builds have crashed (docs of the canary).
        """
        try:
            return await cls._start_once(spec, clients, program, patience, on_progress)
        except _Crashed as crash:
            if not spec.use_extra_bufts:
                raise ModelFailed(str(crash)) from crash
            _log.warning("a worker of %s: %s; once more without extra buffers", spec.model_name, crash)
        spec = replace(spec, use_extra_bufts=False)
        try:
            return await cls._start_once(spec, clients, program, patience, on_progress)
        except _Crashed as crash:
            raise ModelFailed(f"{crash}, twice: with the CPU's extra buffers and without") from crash

    @classmethod
    async def _start_once(
        cls,
        spec: WorkerSpec,
        clients: Clients,
        program: Program,
        patience: Patience,
        on_progress: Callable[[float], None],
    ) -> Worker:
        process = await _spawned(program.command)
        try:
            async with asyncio.timeout(patience.load_sec):
                proved = await _until_ready(process, spec, patience.stall_sec, on_progress)
        except TimeoutError:
            await _end(process, program.grace_sec)
            raise ModelFailed(f"not loaded within {patience.load_sec:g} s") from None
        except BaseException:
            await _end(process, program.grace_sec)
            raise
        return cls(process, clients.streams(unix_socket=spec.socket_path), spec, program.grace_sec, proved)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def memory_mb(self) -> float | None:
        """Its proportional set size in MiB, as the kernel counts it now; None when it is gone."""
        return await asyncio.to_thread(pss_mb, self.pid)

    async def health(self) -> dict[str, object]:
        """How it is, in its own words (`server.py`); ValueError for other words."""
        async with self._session.get("http://worker/health") as answer:
            said = await answer.json()
        if not isinstance(said, dict):
            raise ValueError("no JSON object")
        return said

    def kill(self, why: str) -> None:
        """End it now: it hangs, so it would not hear anything else."""
        self._killed_because = why
        _kill(self._process)

    @property
    def hung(self) -> bool:
        """Whether it had to be killed."""
        return bool(self._killed_because)

    @property
    def end_in_words(self) -> str:
        """Of what it died."""
        if self._killed_because:
            return self._killed_because
        code = self._process.returncode
        if code == -signal.SIGBUS:
            return "its file was cut short under it (SIGBUS)"
        return "its worker broke off the connection" if code is None else f"its worker ended with {_name_of(code)}"

    async def ask(self, path: str, body: bytes) -> AsyncGenerator[Head | bytes, None]:
        """POST `body` to the worker: the head of its answer, then the pieces as they come.

        Closing the generator closes the connection, which makes the worker drop the request at once.
        Raises WorkerLost when the worker dies on the way.
        """
        headers = {"content-type": "application/json", CORRELATION_HEADER: correlation_id.get()}
        try:
            async with self._session.post(f"http://worker{path}", data=body, headers=headers) as answer:
                kept = [(name.lower(), value) for name, value in answer.raw_headers]
                yield Head(answer.status, tuple(pair for pair in kept if pair[0] in _PASSED_HEADERS))
                while not answer.content.at_eof():
                    piece = await answer.content.readany()
                    if piece:
                        yield piece
        except aiohttp.ClientError as error:
            # Its connections end a moment before its death is known; who asks next must not meet it again.
            await asyncio.wait([self.gone], timeout=_DEATH_SEC)
            raise WorkerLost(self.end_in_words) from error

    async def stop(self) -> None:
        """End the process: closing its stdin asks, the signal after a grace insists."""
        await self._session.close()
        await _end(self._process, self._grace_sec)
        _remove(self.spec.socket_path)


class WorkerLost(Exception):
    """The connection to the worker broke off: it died, or is about to. Its text says of what."""


class _Crashed(Exception):
    """The worker ended without a word."""


async def _spawned(command: tuple[str, ...]) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=worker_environment(inherited_environment()),
            start_new_session=True,
        )
    except OSError as error:
        raise ModelFailed(f"no worker process could be started: {error.strerror}") from error


async def _until_ready(
    process: asyncio.subprocess.Process, spec: WorkerSpec, stall_sec: float, on_progress: Callable[[float], None]
) -> str:
    """Give it its spec and hear it load; what its canary has proved."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(ConnectionError):  # it died at once; what it said is still to be read
        process.stdin.write(spec.line().encode())
        await process.stdin.drain()
    async for line in _lines(process.stdout, stall_sec):
        match _said(line):
            case {"event": "loading", "progress": int() | float() as share}:
                on_progress(share)
            case {"event": "ready", "prefix_reuse": str() as proved}:
                return proved
            case {"event": "ready"}:
                return ""
            case {"event": "failed", "detail": str() as detail}:
                raise ModelFailed(detail)
            case _:  # some library took stdout for its log
                _log.warning("a worker of %s said something out of turn: %r", spec.model_name, line[:200])
    code = await process.wait()
    raise _Crashed(f"its worker ended with {_name_of(code)} while loading")


async def _lines(stdout: asyncio.StreamReader, stall_sec: float) -> AsyncGenerator[bytes, None]:
    """Its lines; one longer than the reader's limit comes in parts, or is passed over. ModelFailed when none comes."""
    while True:
        try:
            line = await asyncio.wait_for(stdout.readline(), stall_sec)
        except ValueError:  # what was read of it is dropped
            continue
        except TimeoutError:
            raise ModelFailed(f"it hung while loading: no sign of progress for {stall_sec:g} s") from None
        if not line:
            return
        yield line


def _said(line: bytes) -> Any:
    """What a line of the protocol holds; None for one that is not JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _name_of(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


async def _end(process: asyncio.subprocess.Process, grace_sec: float) -> None:
    """Have the process gone: by itself within a grace, else killed; at once when there is no time to wait."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(grace_sec):
            await process.wait()
    except TimeoutError:
        _kill(process)
        await process.wait()
    except asyncio.CancelledError:
        _kill(process)
        raise


def _remove(socket_path: str) -> None:
    Path(socket_path).unlink(missing_ok=True)


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
