"""What is in memory, loading and unloading by hand."""

from __future__ import annotations

from collections import Counter

from config.app import House
from config.auth import Caller, Scope
from config.contracts.serving import ModelLoad, QueueEntry, QueueReport, QueueStatus, ServedModel, ServedModels
from config.errors import Conflict
from switch.flows.registry import Registry
from switch.local import Guest, Local
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
        memory_mb = await self._pool.memory_mb(model.name)  # first: all that follows is of one moment
        return ServedModel(
            name=model.name,
            stage=model.stage.value,
            in_use=len(model.users) - self._local.at_the_core(model.name),
            waiting=len(model.waiting) + self._local.waiting(model.name),
            reserved_mb=model.reserved_mb,
            memory_mb=memory_mb,
            pinned=model.pinned,
            progress=self._pool.progress(model.name),
            failure=model.failure if model.stage is Stage.COOLING else None,
            ttl_sec=model.ttl_sec,
            drains=model.drains or None,
        )

    async def load(self, name: str, order: ModelLoad) -> ServedModel:
        """Have a model in memory; returns once it is ready."""
        file = await self._registry.named({"model": name})
        with self._house.work.doing("load"):
            async with self._pool.use(file):
                if "ttl_sec" in order.model_fields_set:
                    self._pool.keep(name, order.ttl_sec)
        return await self._shown(name)

    async def pin(self, name: str) -> ServedModel:
        """Keep a model in memory, whoever else wants the room; returns at once, it is loaded behind."""
        self._pool.pin(await self._registry.named({"model": name}))
        return await self._shown(name)

    async def unpin(self, name: str) -> ServedModel:
        """Let a pinned model go like the others."""
        if not self._is_dealt_with(name):
            await self._registry.named({"model": name})
        self._pool.unpin(name)
        return await self._shown(name)

    async def unload(self, name: str) -> ServedModel:
        """Give a model's memory back, of one that loads for nobody when it has loaded; Conflict while somebody uses it
        or waits for it, or it is pinned."""
        if not self._is_dealt_with(name):  # a model may be disabled, or gone, and still in memory
            await self._registry.named({"model": name})
        is_going = self._pool.unload(name)
        shown = await self._shown(name)
        if shown.pinned:
            raise Conflict(f"{name} is pinned.", hint=f"POST /switch/models/{name}/unpin first.")
        if not is_going:
            raise Conflict(f"{name} is in use.", hint="Try again when its requests are done.", retry_after_sec=5)
        return shown

    def _is_dealt_with(self, name: str) -> bool:
        return any(model.name == name for model in self._pool.models())

    async def _shown(self, name: str) -> ServedModel:
        dealt_with = {model.name: model for model in self._pool.models()}
        return await self._served(dealt_with.get(name) or Model(name, 0))

    def queue(self) -> QueueStatus:
        """How much is served and how much waits for which model."""
        waiting = Counter(guest.ask.model for guest in self._local.guests() if guest.step != "inside")
        in_use = sum(guest.step == "inside" for guest in self._local.guests())
        return QueueStatus(in_use=in_use, waiting=waiting.total(), by_model=dict(waiting))

    def queue_of(self, caller: Caller) -> QueueReport:
        """The same, with the single requests of the caller, or everybody's for who may change models."""
        sees_all = caller.may(Scope.MODELS_WRITE)
        seen = [guest for guest in self._local.guests() if sees_all or guest.ask.user == caller.user]
        return QueueReport(**dict(self.queue()), entries=[self._entry(guest) for guest in seen])

    def _entry(self, guest: Guest) -> QueueEntry:
        standing = None if guest.step == "inside" else self._local.standing(guest)
        return QueueEntry(
            user=guest.ask.user,
            model=guest.ask.model,
            priority=guest.ask.priority,
            state="running" if standing is None else standing.state,
            place=standing.place if standing else None,
            of=standing.of if standing else None,
            seconds=standing.seconds if standing else None,
            waited_sec=round((guest.entered_at or self._house.clock.monotonic()) - guest.arrived_at, 3),
            correlation_id=guest.correlation_id,
        )
