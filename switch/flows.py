"""What Switch does for its callers: completions, the list of models, loading and unloading by hand."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from config.app import House
from config.auth import Caller
from config.contracts.serving import ModelCard, ModelCards, QueueStatus, ServedModel, ServedModels
from config.db_schema import ModelUsageStat, RoutingEvent
from config.errors import Conflict, ModelFailed, UnknownModel, VX11Error
from config.logs import correlation_id
from config.problems.outgoing import problem_event
from config.streaming import CutOff, Head
from switch import store
from switch.account import Account
from switch.adapters.worker import WorkerLost
from switch.choose import ModelFile, asked, chosen
from switch.lifecycle import Model, Stage
from switch.pool import Pool

_log = logging.getLogger(__name__)
_REGISTRY_FRESH_SEC = 1.0


@dataclass(frozen=True, slots=True)
class _Registry:
    """The enabled models as they were at `read_at` (monotonic seconds)."""

    models: dict[str, ModelFile]
    read_at: float


class Flows:
    """The use cases of Switch."""

    def __init__(self, house: House, pool: Pool) -> None:
        self._house = house
        self._pool = pool
        self._registry = _Registry({}, float("-inf"))

    async def complete(self, path: str, body: bytes, caller: Caller) -> AsyncGenerator[Head | bytes, None]:
        """The worker's answer to an OpenAI request, byte for byte: its head, then pieces.

        Waits for the model to be loaded. Raises, before the head, what is wrong with the request or the
        model; afterwards an error is told in the stream. Leaves a row of choice and cost in any case.
        """
        file = await self._chosen(asked(body))
        account = Account(self._now())
        try:
            with self._house.work.doing("completion"):
                async with self._pool.use(file) as worker, contextlib.aclosing(worker.ask(path, body)) as items:
                    async for item in items:
                        self._note(item, account)
                        yield item
        except WorkerLost as error:
            account.broke = "worker_died"
            yield self._last_words(file, account, error)
        except VX11Error as error:
            account.broke = error.code
            raise
        finally:
            # Whoever hangs up at the last byte has had the answer: its row is kept all the same.
            await asyncio.shield(self._keep(file, caller, account))

    def _note(self, item: Head | bytes, account: Account) -> None:
        if isinstance(item, Head):
            account.begins(item.status, dict(item.headers).get(b"content-type", b""))
        else:
            account.piece(item, self._now())

    def _last_words(self, file: ModelFile, account: Account, cause: WorkerLost) -> bytes:
        """What ends a stream whose worker died; an answer not begun becomes an error, any other is cut off."""
        failure = ModelFailed(f"The worker of {file.name} died in the middle of the answer.", retry_after_sec=1)
        if account.status is None:
            raise failure from cause
        if not account.streams:
            raise CutOff from cause
        return problem_event(failure)

    async def _chosen(self, request: dict[str, object]) -> ModelFile:
        """The model asked for; a name not seen yet makes the registry be read anew."""
        try:
            return chosen(request, await self._models(_REGISTRY_FRESH_SEC))
        except UnknownModel:
            return chosen(request, await self._models(0.0))

    async def _models(self, fresh_sec: float) -> dict[str, ModelFile]:
        now = self._now()
        if now - self._registry.read_at >= fresh_sec:
            self._registry = _Registry(await self._house.db.reading(store.enabled_models), now)
        return self._registry.models

    async def _keep(self, file: ModelFile, caller: Caller, account: Account) -> None:
        now, correlation = self._house.clock.now(), correlation_id.get()
        choice = RoutingEvent(
            at=now,
            correlation_id=correlation,
            user=caller.user,
            provider="local",
            model=file.name,
            score=None,
            reason="named by the caller",
            detail={},
        )
        use = ModelUsageStat(
            at=now,
            model=file.name,
            user=caller.user,
            correlation_id=correlation,
            outcome=account.outcome,
            prompt_tokens=account.prompt_tokens,
            completion_tokens=account.completion_tokens,
            ttft_ms=account.ttft_ms,
            latency_ms=account.latency_ms(self._now()),
            finish_reason=account.finish_reason,
        )
        try:
            await self._house.db.writing(store.add_use, choice, use)
        except VX11Error as error:  # a full disk or a busy database must not undo an answer already given
            _log.error("usage of %s was not kept: %s", file.name, error.detail)

    async def cards(self) -> ModelCards:
        """Every enabled model, as OpenAI lists them."""
        models = await self._models(0.0)
        return ModelCards(data=[ModelCard(id=name, created=file.created) for name, file in sorted(models.items())])

    async def card(self, name: str) -> ModelCard:
        """One enabled model, as OpenAI shows it."""
        file = await self._chosen({"model": name})
        return ModelCard(id=file.name, created=file.created)

    async def served(self) -> ServedModels:
        """Every enabled or loaded model with its stage, and the ledger."""
        dealt_with = {model.name: model for model in self._pool.models()}
        names = sorted({*await self._models(0.0), *dealt_with})
        listed = [await self._served(dealt_with.get(name) or Model(name, 0)) for name in names]
        return ServedModels(budget_mb=self._pool.budget_mb, reserved_mb=self._pool.reserved_mb, models=listed)

    async def _served(self, model: Model) -> ServedModel:
        return ServedModel(
            name=model.name,
            stage=model.stage.value,
            in_use=len(model.users),
            waiting=len(model.waiting),
            reserved_mb=model.reserved_mb,
            memory_mb=await self._pool.memory_mb(model.name),
            pinned=model.pinned,
            progress=self._pool.progress(model.name),
            failure=model.failure if model.stage is Stage.COOLING else None,
        )

    async def load(self, name: str) -> ServedModel:
        """Have a model in memory; returns once it is ready."""
        file = await self._chosen({"model": name})
        with self._house.work.doing("load"):
            async with self._pool.use(file):
                pass
        return await self._shown(name)

    async def unload(self, name: str) -> ServedModel:
        """Give a model's memory back; Conflict while somebody uses it."""
        if not self._is_dealt_with(name):  # a model may be disabled, or gone, and still in memory
            await self._chosen({"model": name})
        stopping = self._pool.unload(name)
        shown = await self._shown(name)
        if not stopping and shown.stage in ("ready", "loading"):
            raise Conflict(f"{name} is in use.", hint="Try again when its requests are done.", retry_after_sec=5)
        return shown

    def _is_dealt_with(self, name: str) -> bool:
        return any(model.name == name for model in self._pool.models())

    async def _shown(self, name: str) -> ServedModel:
        dealt_with = {model.name: model for model in self._pool.models()}
        return await self._served(dealt_with.get(name) or Model(name, 0))

    def queue(self) -> QueueStatus:
        """How much is being served, and how much waits for which model."""
        models = self._pool.models()
        return QueueStatus(
            in_use=sum(len(model.users) for model in models),
            waiting=sum(len(model.waiting) for model in models),
            by_model={model.name: len(model.waiting) for model in models if model.waiting},
        )

    def _now(self) -> float:
        return self._house.clock.monotonic()
