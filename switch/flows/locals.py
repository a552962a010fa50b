"""Local models as providers: what the registry offers, answered by worker processes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from config.errors import ModelFailed
from switch.adapters.provider import Items, Provider
from switch.adapters.worker import WorkerLost
from switch.choose import ModelFile
from switch.failures import BrokenOff
from switch.flows.registry import Registry
from switch.local import Local
from switch.offers import LOCAL, Offer
from switch.openai import parse_chat, parse_completion, parse_embedding
from switch.orders import Asker, Order
from switch.pool import Pool
from switch.residence import Stage

_PARSERS: dict[str, Callable[[bytes], object]] = {
    "/v1/chat/completions": parse_chat,
    "/v1/completions": parse_completion,
    "/v1/embeddings": parse_embedding,
}
_TASKS = {"chat": frozenset({"chat", "completion"}), "completion": frozenset({"completion"})}
_START_SEC = 1.0  # a worker process and its canary
_READ_BYTES_SEC = 500e6  # a file from a middling disk


class Locals:
    """The models of this machine."""

    def __init__(self, pool: Pool, local: Local, registry: Registry) -> None:
        self._pool = pool
        self._local = local
        self._registry = registry

    async def offers(self, *, anew: bool) -> list[Offer]:
        """Every enabled model."""
        files = await (self._registry.models(fresh_sec=0.0) if anew else self._registry.models())
        ready = {model.name for model in self._pool.models() if model.stage is Stage.READY}
        return [_offer(file, file.name in ready) for file in files.values()]

    def provider(self, offer: Offer) -> Provider:
        """Who answers for a local model."""
        assert offer.file is not None
        return LocalModel(self._local, offer.file)


def _offer(file: ModelFile, ready: bool) -> Offer:
    return Offer(
        provider=LOCAL,
        model=file.name,
        kind="local",
        tasks=_TASKS.get(file.task_type, frozenset({file.task_type})),
        file=file,
        ready=ready,
        start_sec=0.0 if ready else _START_SEC + file.size_bytes / _READ_BYTES_SEC,
        created=file.created,
    )


class LocalModel:
    """One local model as a provider."""

    def __init__(self, local: Local, file: ModelFile) -> None:
        self._local = local
        self._file = file

    async def ask(self, order: Order, asker: Asker) -> Items:
        """Answer an order; see `Provider`. A bad body is refused before the model is loaded for it."""
        if parse := _PARSERS.get(order.path):
            parse(order.body)
        try:
            async with contextlib.aclosing(self._local.ask(self._file, order, asker)) as items:
                async for item in items:
                    yield item
        except WorkerLost as error:
            lost = ModelFailed(
                f"The worker of {self._file.name} died in the middle of the answer: {error}.", retry_after_sec=1
            )
            raise BrokenOff(lost, "worker_died") from error
