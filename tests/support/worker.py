"""A worker process under test: started as Switch starts it, spoken to over its socket."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from switch.worker.spec import WorkerSpec, worker_environment

ROOT = Path(__file__).resolve().parents[2]
START_DEADLINE_SEC = 90


def model_file(pattern: str) -> Path:
    """A real model in `models/`; the test is skipped, and says so, where nobody has pulled it."""
    files = sorted((ROOT / "models").rglob("*.gguf"))
    found = [file for file in files if fnmatch(file.name.lower(), pattern.lower())]  # hermes names them in lower case
    if not found:
        pytest.skip(f"no {pattern} in models/: run scripts/hermes_download_test_models.py")
    return found[0]


class WorkerProcess:
    """One worker. `said` holds the events it has told so far, `ready` the last of them when it serves."""

    def __init__(self, spec: WorkerSpec, *, line: str | None = None) -> None:
        """Hand over `spec`, or `line` instead where the test wants a parent that talks nonsense."""
        self.spec = spec
        self.said: list[dict[str, Any]] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "switch.worker"],
            cwd=ROOT,
            env=worker_environment(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdin is not None
        self.process.stdin.write((spec.line() if line is None else line).encode())
        self.process.stdin.flush()

    def wait_until_told(self) -> dict[str, Any]:
        """The event that says how the start went; an empty one when the process died without a word."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(json.loads(line))
            if self.said[-1]["event"] in ("ready", "failed"):
                return self.said[-1]
        return {}

    def let_go(self) -> int:
        """Close stdin, as a parent does that is done with it or is gone; the exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(START_DEADLINE_SEC)

    def end(self) -> None:
        """Leave nothing behind, whatever the test did."""
        self.process.kill()
        self.process.wait(START_DEADLINE_SEC)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


class WorkerClient:
    """OpenAI calls to one worker."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def health(self) -> Any:
        """`GET /health`."""
        async with self.session.get("/health") as answer:
            return await answer.json()

    async def post(self, path: str, **members: Any) -> tuple[int, Any]:
        """The status and the body of a call that is not streamed."""
        async with self.session.post(path, json={"model": "m", **members}) as answer:
            return answer.status, await answer.json(content_type=None)

    async def chat(self, question: str, **members: Any) -> Any:
        """The body of a chat answer to one question, greedy unless told otherwise."""
        messages = [{"role": "user", "content": question}]
        status, body = await self.post("/v1/chat/completions", messages=messages, **{"temperature": 0, **members})
        assert status == 200, body
        return body

    async def stream(self, path: str, **members: Any) -> list[dict[str, Any]]:
        """The events of a streamed answer; the end mark must be there."""
        async with self.session.post(path, json={"model": "m", "stream": True, **members}) as answer:
            lines = (await answer.text()).split("\n\n")
        assert lines[-2:] == ["data: [DONE]", ""]
        return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


@asynccontextmanager
async def client_of(spec: WorkerSpec) -> AsyncIterator[WorkerClient]:
    """A client for the worker that listens as `spec` says."""
    connector = aiohttp.UnixConnector(spec.socket_path)
    timeout = aiohttp.ClientTimeout(total=START_DEADLINE_SEC)
    async with aiohttp.ClientSession("http://worker", connector=connector, timeout=timeout) as session:
        yield WorkerClient(session)
    await asyncio.sleep(0)  # aiohttp closes its sockets in the next turn of the loop


def said_text(body: dict[str, Any]) -> str:
    """The text of a whole answer of either kind."""
    choice = body["choices"][0]
    return str(choice["message"]["content"] if "message" in choice else choice["text"])


def streamed_text(events: list[dict[str, Any]]) -> str:
    """The text of a streamed answer of either kind."""
    choices = [event["choices"][0] for event in events if event["choices"]]
    return "".join(choice["delta"].get("content", "") if "delta" in choice else choice["text"] for choice in choices)
