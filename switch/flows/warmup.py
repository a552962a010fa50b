"""Warm-up: every model loaded in its turn, with one real short inference each, so that the first person need not wait
and what cannot run is known. It goes by the same door as everybody, last in priority, and leaves the same rows.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator

from config import deadline
from config.app import House
from config.auth import Caller
from config.contracts.serving import WarmedModel, WarmupOrder, WarmupStatus
from config.errors import BadPeer, VX11Error
from config.streaming import CutOff, Head
from switch.choose import ModelFile
from switch.flows.completions import Completions
from switch.flows.registry import Registry
from switch.pool import Pool

_log = logging.getLogger(__name__)
_DETAIL_CHARACTERS = 500
_QUESTIONS: dict[str, tuple[str, dict[str, object]]] = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 8}),
    "completion": ("/v1/completions", {"prompt": "Hello,", "max_tokens": 8}),
    "embedding": ("/v1/embeddings", {"input": "Hello."}),
}


class Warmup:
    """The last warm-up, or the one under way; there is one at a time."""

    def __init__(self, house: House, pool: Pool, registry: Registry, completions: Completions) -> None:
        self._house = house
        self._pool = pool
        self._registry = registry
        self._completions = completions
        self._status = WarmupStatus(state="idle", started_at=None, finished_at=None, models=[])
        self._task: asyncio.Task[None] | None = None

    def status(self) -> WarmupStatus:
        """How it went, or goes."""
        return self._status

    async def begin(self, order: WarmupOrder, caller: Caller) -> WarmupStatus:
        """Begin to warm up, unless that is under way already; UnknownModel for a name that is not enabled."""
        files = await self._registry.models(fresh_sec=0.0)
        if order.models is not None:
            files = {name: await self._registry.named({"model": name}) for name in order.models}
        if self._status.state != "running":
            models = [WarmedModel(name=name, state="pending") for name in sorted(files)]
            started = self._house.clock.now()
            self._status = WarmupStatus(state="running", started_at=started, finished_at=None, models=models)
            self._task = asyncio.create_task(self._run(self._status, files, caller))
        return self._status

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While Switch runs; one under way ends with it."""
        try:
            yield
        finally:
            if self._task is not None:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, status: WarmupStatus, files: dict[str, ModelFile], caller: Caller) -> None:
        with self._house.work.doing("warm-up"), deadline.arrived(None):  # it outlives the request that began it
            for model in status.models:
                model.state = "running"
                try:
                    await self._warm(model, files[model.name], caller)
                    model.state = "ok"
                except (VX11Error, CutOff) as error:
                    model.state, model.detail = "failed", str(error)[:_DETAIL_CHARACTERS] or "the answer was cut off"
                except Exception:  # border: the other models are to be warmed up all the same
                    _log.exception("warming up %s broke", model.name)
                    model.state, model.detail = "failed", "something broke inside; the log has the rest"
        status.finished_at, status.state = self._house.clock.now(), "done"

    async def _warm(self, model: WarmedModel, file: ModelFile, caller: Caller) -> None:
        began = self._now()
        async with self._pool.use(file):
            model.load_sec = round(self._now() - began, 3)
        began = self._now()
        await self._infer(file, caller)
        model.inference_sec = round(self._now() - began, 3)

    async def _infer(self, file: ModelFile, caller: Caller) -> None:
        path, question = _QUESTIONS[file.task_type]
        body = json.dumps({"model": file.name, **question}).encode()
        status, answer = 0, bytearray()
        async with contextlib.aclosing(self._completions.openai(path, body, caller)) as items:
            async for item in items:
                if isinstance(item, Head):
                    status = item.status
                else:
                    answer += item
        if status != 200:
            raise BadPeer(f"It answered {status}: {answer.decode(errors='replace')}")

    def _now(self) -> float:
        return self._house.clock.monotonic()
