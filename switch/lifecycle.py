"""Which models are in memory: the pure owner of that state. Events in, effects out.

A model is `asleep → loading → ready → stopping → asleep`, or `cooling` for a while after a failure. Every
change comes in as a method call with `now`; the answer is a list of effects for the shell (`pool.py`) to
carry out. Nobody reads the state to decide something: they ask for what they want, and this decides.

Kept at all times (property-tested):
* the reservations of all models that are loading, ready or stopping never exceed the budget, unless a
  worker measured larger than its estimate: then nothing more starts until that is paid back;
* a model in use, pinned, or waited for by somebody who stands before whom it would make room for, is never stopped;
* every ticket is granted, refused or given up, exactly once;
* nobody waits for ever: a busy model whose memory the first in the line needs takes no newcomers, who stand
  behind in the line, so it is idle once its present users are done.
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
    """One model as the lifecycle sees it; sizes in MiB, times monotonic seconds.

    `need_mb` is the estimate it starts with; `measured_mb`, of the running worker, corrects the ledger.
    """

    name: str
    need_mb: int
    measured_mb: int = 0
    stage: Stage = Stage.ASLEEP
    users: set[int] = field(default_factory=set)
    pinned: bool = False
    loaded_at: float = 0.0
    last_used: float = 0.0
    cool_until: float = 0.0
    failure: str = ""
    waiting: deque[int] = field(default_factory=deque)

    @property
    def reserved_mb(self) -> int:
        """What it takes of the budget now."""
        in_memory = self.stage in (Stage.LOADING, Stage.READY, Stage.STOPPING)
        return max(self.need_mb, self.measured_mb) if in_memory else 0

    @property
    def is_idle(self) -> bool:
        """Ready, and nobody uses it or has pinned it. Who waits for a ready model waits behind others in the line."""
        return self.stage is Stage.READY and not self.users and not self.pinned


@dataclass(frozen=True, slots=True)
class Limits:
    """The rules a lifecycle keeps."""

    budget_mb: int
    ttl_sec: float
    cooldown_sec: float
    max_waiting: int


def evict(need_mb: int, free_mb: int, candidates: Iterable[Model]) -> list[Model] | None:
    """The victims that make `need_mb` fit into `free_mb`, the first candidates first; None if even all of
    them would not do. No victim is taken that the others make needless."""
    victims: list[Model] = []
    for model in candidates:
        if free_mb >= need_mb:
            break
        victims.append(model)
        free_mb += model.reserved_mb
    if free_mb < need_mb:
        return None
    for model in tuple(victims):  # a large late victim can make small early ones needless
        if free_mb - model.reserved_mb >= need_mb:
            victims.remove(model)
            free_mb -= model.reserved_mb
    return victims


class Lifecycle:
    """All models of one Switch."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._models: dict[str, Model] = {}
        # Models that wait for memory, or behind those that do: all that somebody waits for, but those that load.
        self._line: deque[str] = deque()

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
        if model.stage is Stage.READY and not self._must_yield(model):
            return self._grant(model, ticket, now)
        model.waiting.append(ticket)
        if model.stage is Stage.COOLING:
            model.stage = Stage.ASLEEP
        if model.stage is Stage.ASLEEP:
            model.need_mb = need_mb
        if model.stage is not Stage.LOADING and name not in self._line:
            self._line.append(name)
        return self._make_room(now)

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

    def gave_up(self, ticket: int, name: str, now: float) -> list[Effect]:
        """The holder of `ticket` went away before its turn, or at the moment of it; a load under way goes on,
        for it is paid for."""
        model = self._models[name]
        if ticket in model.waiting:
            model.waiting.remove(ticket)
        if not model.waiting and name in self._line:
            self._line.remove(name)
        return self.released(ticket, name, now) if ticket in model.users else self._make_room(now)

    def loaded(self, name: str, now: float, measured_mb: int | None = None) -> list[Effect]:
        """The worker answers: everybody who waited may go in. A larger measured need corrects the ledger."""
        model = self._models[name]
        model.stage, model.loaded_at, model.last_used = Stage.READY, now, now
        model.measured_mb = measured_mb or 0
        return self._admit(model, now) + self._make_room(now)

    def failed(self, name: str, reason: str, now: float) -> list[Effect]:
        """The worker did not come up: its waiters are told, and it rests before the next try."""
        model = self._models[name]
        model.stage, model.failure = Stage.COOLING, reason
        model.cool_until = now + self._limits.cooldown_sec
        refused: list[Effect] = [Refuse(ticket, self._did_not_load(model)) for ticket in model.waiting]
        model.waiting.clear()
        return refused + self._make_room(now)

    def _did_not_load(self, model: Model) -> ModelFailed:
        detail = f"{model.name} did not load: {model.failure}"
        return ModelFailed(detail, retry_after_sec=self._limits.cooldown_sec)

    def released(self, ticket: int, name: str, now: float) -> list[Effect]:
        """One use has ended; a use that its worker's death ended before is no longer counted."""
        model = self._models[name]
        model.users.discard(ticket)
        model.last_used = now
        return self._make_room(now)

    def died(self, name: str, now: float) -> list[Effect]:
        """A ready worker's process ended by itself; whoever still waits for it gets a new one."""
        return self.stopped(name, now)

    def stopped(self, name: str, now: float) -> list[Effect]:
        """The worker is gone and its memory is back."""
        model = self._models[name]
        model.stage, model.measured_mb = Stage.ASLEEP, 0
        model.users.clear()
        return self._make_room(now)

    def unload(self, name: str) -> list[Effect]:
        """An operator wants the memory back: an idle model stops now, a busy one is left."""
        model = self._models.get(name)
        if model is None or model.stage is not Stage.READY or model.users:
            return []
        return [self._stop(model, "unloaded by request")]

    def tick(self, now: float) -> list[Effect]:
        """Idle models whose time is over go to sleep, and those that have cooled down may be tried again."""
        for model in self._models.values():
            if model.stage is Stage.COOLING and now >= model.cool_until:
                model.stage = Stage.ASLEEP
        ttl = self._limits.ttl_sec
        tired = [model for model in self._ready() if model.is_idle and now - model.last_used >= ttl]
        stops: list[Effect] = [self._stop(model, "idle") for model in tired]
        return stops + self._make_room(now)

    def _make_room(self, now: float) -> list[Effect]:
        """Start what stands in the line, in order; stop idle models where that makes it fit."""
        effects: list[Effect] = []
        while self._line:
            model = self._models[self._line[0]]
            if model.stage is Stage.STOPPING:
                return effects  # its old worker is still going; `stopped` comes back here
            if model.stage is Stage.READY:  # it never had to make room after all
                effects += self._admit(model, now)
            elif self._free_mb >= model.need_mb:
                model.stage = Stage.LOADING
                effects.append(Start(model.name))
            else:
                return effects + self._stop_victims(model.need_mb)
            self._line.popleft()
        return effects

    def _stop_victims(self, need_mb: int) -> list[Effect]:
        idle = sorted((model for model in self._ready() if model.is_idle), key=lambda model: model.last_used)
        victims = evict(need_mb, self._free_mb + self._returning_mb, idle)
        return [self._stop(victim, "memory needed") for victim in victims or []]

    def _must_yield(self, model: Model) -> bool:
        """Whether the first in the line needs the memory of `model`, ready and perhaps busy.

        Asked again for each newcomer, so the order must not change while models drain: it is that of loading.
        """
        if not self._line:
            return False
        first = self._models[self._line[0]]
        movable = sorted((one for one in self._ready() if not one.pinned), key=lambda one: one.loaded_at)
        victims = evict(first.need_mb, self._free_mb + self._returning_mb, movable)
        return victims is not None and any(victim is model for victim in victims)

    @property
    def _free_mb(self) -> int:
        return self._limits.budget_mb - self.reserved_mb

    @property
    def _returning_mb(self) -> int:
        return sum(model.reserved_mb for model in self._models.values() if model.stage is Stage.STOPPING)

    def _ready(self) -> list[Model]:
        return [model for model in self._models.values() if model.stage is Stage.READY]

    def _admit(self, model: Model, now: float) -> list[Effect]:
        """Everybody who waits for a ready model may go in."""
        effects: list[Effect] = []
        while model.waiting:
            effects += self._grant(model, model.waiting.popleft(), now)
        return effects

    def _grant(self, model: Model, ticket: int, now: float) -> list[Effect]:
        model.users.add(ticket)
        model.last_used = now
        return [Grant(ticket, model.name)]

    @staticmethod
    def _stop(model: Model, why: str) -> Stop:
        model.stage = Stage.STOPPING
        return Stop(model.name, why)
