"""Which models are in memory: the pure owner of that state. Events in, effects out.

A model is `asleep → loading → ready → stopping → asleep`, or `cooling` for a while after a failure. Every
change comes in as a method call with `now`; the answer is a list of effects for the shell (`pool.py`) to
carry out. Nobody reads the state to decide something: they ask for what they want, and this decides.

Kept at all times (property-tested):
* the reservations of all models that are loading, ready or stopping never exceed the budget, unless a
  worker measured larger than its estimate: then nothing more starts until that is paid back;
* a model in use, pinned or waited for is never stopped to make room;
* every ticket is granted, refused or given up, exactly once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from config.errors import ModelFailed, TooManyRequests, Unavailable, VX11Error


class Stage(StrEnum):
    """Where a model is in its life."""

    ASLEEP = "asleep"
    LOADING = "loading"
    READY = "ready"
    STOPPING = "stopping"
    COOLING = "cooling"


@dataclass(frozen=True, slots=True)
class Start:
    """Effect: spawn a worker for `model`; answer with `loaded` or `failed`."""

    model: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Effect: end the worker of `model`; answer with `stopped`."""

    model: str
    why: str


@dataclass(frozen=True, slots=True)
class Grant:
    """Effect: the holder of `ticket` may use the model now; answer with `released`."""

    ticket: int
    model: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Effect: the holder of `ticket` gets `error`."""

    ticket: int
    error: VX11Error


Effect = Start | Stop | Grant | Refuse


@dataclass(slots=True)
class Model:
    """One model as the lifecycle sees it; sizes in MiB, times monotonic seconds."""

    name: str
    need_mb: int
    stage: Stage = Stage.ASLEEP
    users: set[int] = field(default_factory=set)
    pinned: bool = False
    last_used: float = 0.0
    cool_until: float = 0.0
    failure: str = ""
    waiting: deque[int] = field(default_factory=deque)

    @property
    def reserved_mb(self) -> int:
        """What it takes of the budget now."""
        return self.need_mb if self.stage in (Stage.LOADING, Stage.READY, Stage.STOPPING) else 0

    @property
    def is_idle(self) -> bool:
        """Ready, and nobody uses it, waits for it or has pinned it."""
        return self.stage is Stage.READY and not self.users and not self.waiting and not self.pinned


@dataclass(frozen=True, slots=True)
class Limits:
    """The rules a lifecycle keeps."""

    budget_mb: int
    ttl_sec: float
    cooldown_sec: float
    max_waiting: int


def evict(need_mb: int, free_mb: int, idle: Iterable[Model]) -> list[Model] | None:
    """The victims that make `need_mb` fit into `free_mb`, least recently used first; None if even all
    idle models would not do. Never takes more victims than needed."""
    victims: list[Model] = []
    for model in sorted(idle, key=lambda candidate: candidate.last_used):
        if free_mb >= need_mb:
            break
        victims.append(model)
        free_mb += model.need_mb
    if free_mb < need_mb:
        return None
    for model in tuple(victims):  # a large late victim can make small early ones needless
        if free_mb - model.need_mb >= need_mb:
            victims.remove(model)
            free_mb -= model.need_mb
    return victims


class Lifecycle:
    """All models of one Switch."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._models: dict[str, Model] = {}
        self._queue: deque[str] = deque()  # models that wait for memory, first come first

    def models(self) -> list[Model]:
        """Every model it has heard of; for showing, not for deciding."""
        return list(self._models.values())

    @property
    def reserved_mb(self) -> int:
        """The part of the budget that is taken."""
        return sum(model.reserved_mb for model in self._models.values())

    def wanted(self, ticket: int, name: str, need_mb: int, now: float) -> list[Effect]:
        """Somebody wants to use a model that needs `need_mb`."""
        model = self._models.setdefault(name, Model(name, need_mb))
        refusal = self._refusal(model, need_mb, now)
        if refusal is not None:
            return [Refuse(ticket, refusal)]
        if model.stage is Stage.READY:
            return self._grant(model, ticket, now)
        model.waiting.append(ticket)
        if model.stage in (Stage.ASLEEP, Stage.COOLING):
            model.stage, model.need_mb = Stage.ASLEEP, need_mb
            if name not in self._queue:
                self._queue.append(name)
        return self._make_room()

    def _refusal(self, model: Model, need_mb: int, now: float) -> VX11Error | None:
        limits = self._limits
        if model.stage is Stage.COOLING and now < model.cool_until:
            wait = model.cool_until - now
            return ModelFailed(f"{model.name} failed: {model.failure}", retry_after_sec=wait)
        if need_mb > limits.budget_mb:
            return Unavailable(
                f"{model.name} needs {need_mb} MiB; the budget for models is {limits.budget_mb} MiB.",
                hint="Raise VX11_MODEL_MEMORY_MB or choose a smaller model.",
            )
        if len(model.waiting) >= limits.max_waiting:
            return TooManyRequests(f"{len(model.waiting)} requests wait for {model.name} already.", retry_after_sec=5)
        return None

    def gave_up(self, ticket: int, name: str) -> list[Effect]:
        """A waiter went away before its turn; a load under way goes on, for it is paid for."""
        model = self._models[name]
        if ticket in model.waiting:
            model.waiting.remove(ticket)
        if not model.waiting and name in self._queue:
            self._queue.remove(name)
        return self._make_room()

    def loaded(self, name: str, now: float, measured_mb: int | None = None) -> list[Effect]:
        """The worker answers: everybody who waited may go in. A larger measured need corrects the ledger."""
        model = self._models[name]
        model.stage, model.last_used = Stage.READY, now
        if measured_mb is not None:
            model.need_mb = max(model.need_mb, measured_mb)
        effects: list[Effect] = []
        while model.waiting:
            effects += self._grant(model, model.waiting.popleft(), now)
        return effects + self._make_room()

    def failed(self, name: str, reason: str, now: float) -> list[Effect]:
        """The worker did not come up: its waiters are told, and it rests before the next try."""
        model = self._models[name]
        model.stage, model.failure = Stage.COOLING, reason
        model.cool_until = now + self._limits.cooldown_sec
        error = ModelFailed(f"{name} did not load: {reason}", retry_after_sec=self._limits.cooldown_sec)
        refused: list[Effect] = [Refuse(ticket, error) for ticket in model.waiting]
        model.waiting.clear()
        return refused + self._make_room()

    def released(self, ticket: int, name: str, now: float) -> list[Effect]:
        """One use has ended; a use that its worker's death ended before is no longer counted."""
        model = self._models[name]
        model.users.discard(ticket)
        model.last_used = now
        return self._make_room()

    def died(self, name: str) -> list[Effect]:
        """A ready worker's process ended by itself; whoever still waits for it gets a new one."""
        return self.stopped(name)

    def stopped(self, name: str) -> list[Effect]:
        """The worker is gone and its memory is back."""
        model = self._models[name]
        model.stage = Stage.ASLEEP
        model.users.clear()
        if model.waiting and name not in self._queue:
            self._queue.append(name)
        return self._make_room()

    def unload(self, name: str) -> list[Effect]:
        """An operator wants the memory back: an idle model stops now, a busy one is left."""
        model = self._models.get(name)
        if model is None or model.stage is not Stage.READY or model.users:
            return []
        return [self._stop(model, "unloaded by request")]

    def tick(self, now: float) -> list[Effect]:
        """Idle models whose time is over go to sleep."""
        ttl = self._limits.ttl_sec
        return [
            self._stop(model, "idle")
            for model in self._models.values()
            if model.is_idle and now - model.last_used >= ttl
        ]

    def _make_room(self) -> list[Effect]:
        """Start what waits for memory, in order; stop idle models where that makes it fit."""
        effects: list[Effect] = []
        while self._queue:
            model = self._models[self._queue[0]]
            if model.stage is not Stage.ASLEEP:
                return effects  # its old worker is still going; `stopped` comes back here
            free = self._limits.budget_mb - self.reserved_mb
            if free >= model.need_mb:
                self._queue.popleft()
                model.stage = Stage.LOADING
                effects.append(Start(model.name))
                continue
            return effects + self._stop_victims(model.need_mb, free)
        return effects

    def _stop_victims(self, need_mb: int, free_mb: int) -> list[Effect]:
        returning = sum(model.need_mb for model in self._models.values() if model.stage is Stage.STOPPING)
        idle = [model for model in self._models.values() if model.is_idle]
        victims = evict(need_mb, free_mb + returning, idle)
        return [self._stop(victim, "memory needed") for victim in victims or []]

    def _grant(self, model: Model, ticket: int, now: float) -> list[Effect]:
        model.users.add(ticket)
        model.last_used = now
        return [Grant(ticket, model.name)]

    @staticmethod
    def _stop(model: Model, why: str) -> Stop:
        model.stage = Stage.STOPPING
        return Stop(model.name, why)

