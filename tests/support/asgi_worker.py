"""A worker's HTTP over a model that counts, spoken to as ASGI."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from switch.worker.embedding import Embedder, Vector
from switch.worker.engine import Engine
from switch.worker.limits import Limits
from switch.worker.outlet import Output, distribute
from switch.worker.prompts import Prompts
from switch.worker.server import Served, Worker
from switch.worker.spec import WorkerSpec
from switch.worker.template import ChatTemplate
from tests.support.clock import ManualClock
from tests.support.compute import CountingCompute
from tests.support.vocabulary import ByteVocabulary

SPEC = WorkerSpec(
    model_path="m",
    model_name="m",
    socket_path="s",
    aliases=("also-m",),
    n_ctx=64,
    n_seq_max=2,
    n_batch=32,
    max_waiting=2,
)
TEMPLATE = "{{ bos_token }}{% for m in messages %}{{ m.role[0] }}{{ m.content }}{% endfor %}"


class Exchange:
    """One request and what came back. `leave` closes the client's end."""

    def __init__(self, app: Worker, method: str, path: str, body: bytes) -> None:
        self.sent: list[dict[str, Any]] = []
        self._left = asyncio.Event()
        self._inbox = [{"type": "http.request", "body": body, "more_body": False}]
        scope = {"type": "http", "method": method, "path": path, "headers": [(b"x-correlation-id", b"c-1")]}
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    def leave(self) -> None:
        """Close the connection."""
        self._left.set()

    async def _receive(self) -> dict[str, Any]:
        if self._inbox:
            return self._inbox.pop()
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.sent.append(dict(message))

    @property
    def status(self) -> int:
        """The status it was answered with."""
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        """The whole answer."""
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    def json(self) -> Any:
        """The answer as JSON."""
        return json.loads(self.body)

    def events(self) -> list[Any]:
        """The events of a streamed answer."""
        return [json.loads(line[6:]) for line in self.body.decode().split("\n\n") if line and line != "data: [DONE]"]


class House:
    """A server with its engine running."""

    def __init__(self, app: Worker, engine: Engine[Any], compute: CountingCompute) -> None:
        self.app, self.engine, self.compute = app, engine, compute

    def begin(self, path: str, members: Any, *, method: str = "POST") -> Exchange:
        """Send a request and do not wait."""
        return Exchange(self.app, method, path, members if isinstance(members, bytes) else json.dumps(members).encode())

    async def ask(self, path: str, members: Any, *, method: str = "POST") -> Exchange:
        """Send a request and wait for the whole answer."""
        exchange = self.begin(path, members, method=method)
        await asyncio.wait_for(exchange.task, 10)
        return exchange


class CountingVectors:
    """Implements `switch.worker.embedding.Vectors`: the vector of tokens is their sum, and 3. Two tokens a step.

    `gate` holds each step back until the test lets it go; `entered` says that one is held.
    """

    n_tokens = 8
    bytes = 12
    gives_vectors = True

    def __init__(self) -> None:
        self.steps = 0
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()

    def begin(self) -> None:
        """Forget nothing: nothing is kept."""

    def step(self, tokens: Sequence[int], done: int, sums: Vector, *, threads: int) -> tuple[int, Vector]:
        """Add up two more tokens."""
        self.entered.set()
        assert self.gate.wait(10)
        self.steps += 1
        part = tokens[done : done + 2]
        return done + len(part), [(sums[0] if sums else 0) + sum(part), 3.0]


@asynccontextmanager
async def serving(*, template: str | None = TEMPLATE, vectors: CountingVectors | None = None) -> AsyncIterator[House]:
    """A worker that answers with numbers; see `CountingCompute`."""
    loop, compute, embeds = asyncio.get_running_loop(), CountingCompute(), vectors or CountingVectors()

    def deliver(outputs: list[Output]) -> None:
        loop.call_soon_threadsafe(distribute, outputs)

    engine = Engine(compute, SPEC, deliver)
    chat = None if template is None else ChatTemplate(template, bos="<s>", eos="", now=ManualClock().now)
    prompts = Prompts(ByteVocabulary(), chat, bos_text="<s>", n_ctx=SPEC.n_ctx, model_name="m")
    served = Served(
        spec=SPEC,
        engine=engine,
        prompts=prompts,
        limits=Limits(256, SPEC.n_seq_max, prompts.format, lambda grammar: "nonsense" in grammar),
        embedder=Embedder(lambda: embeds),
        facts={"n_ctx": SPEC.n_ctx},
        clock=ManualClock(),
    )
    thread = threading.Thread(target=engine.run, daemon=True)
    thread.start()
    try:
        yield House(Worker(served), engine, compute)
    finally:
        engine.stop()
        compute.gate.set()
        embeds.gate.set()
        await asyncio.to_thread(thread.join, 10)


def chat(**members: Any) -> dict[str, Any]:
    """The body of a short chat."""
    return {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 3, **members}
