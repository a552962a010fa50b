"""What is in memory, loading and unloading by hand."""

from __future__ import annotations

from config.app import House
from config.contracts.serving import QueueStatus, ServedModel, ServedModels
from config.errors import Conflict
from switch.flows.registry import Registry
from switch.local import Local
from switch.pool import Pool
from switch.residence import Model, Stage


class Models:
    """What Switch does with the models themselves."""

    def __init__(self, house: House, pool: Pool, local: Local, registry: Registry) -> None:
        self._house = house
        self._pool = pool
        self._local = local
        self._registry = registry

    async def served(self) -> ServedModels:
        """Every enabled or loaded model with its stage, and the ledger."""
        dealt_with = {model.name: model for model in self._pool.models()}
        names = sorted({*await self._registry.models(0.0), *dealt_with})
        listed = [await self._served(dealt_with.get(name) or Model(name, 0)) for name in names]
        return ServedModels(budget_mb=self._pool.budget_mb, reserved_mb=self._pool.reserved_mb, models=listed)

    async def _served(self, model: Model) -> ServedModel:
        return ServedModel(
            name=model.name,
            stage=model.stage.value,
            in_use=len(model.users) - self._local.at_the_core(model.name),
            waiting=len(model.waiting) + self._local.waiting(model.name),
            reserved_mb=model.reserved_mb,
            memory_mb=await self._pool.memory_mb(model.name),
            pinned=model.pinned,
            progress=self._pool.progress(model.name),
            failure=model.failure if model.stage is Stage.COOLING else None,
        )

    async def load(self, name: str) -> ServedModel:
        """Have a model in memory; returns once it is ready."""
        file = await self._registry.named({"model": name})
        with self._house.work.doing("load"):
            async with self._pool.use(file):
                pass
        return await self._shown(name)

    async def unload(self, name: str) -> ServedModel:
        """Give a model's memory back; Conflict while somebody uses it."""
        if not self._is_dealt_with(name):  # a model may be disabled, or gone, and still in memory
            await self._registry.named({"model": name})
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
