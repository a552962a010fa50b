"""Which models are in memory: the pure owner of that state. Events in, effects out.

A model is `asleep → loading → ready → stopping → asleep`, or `cooling` for a while after a failure. Every
change comes in as a method call with `now`; the answer is a list of effects for the shell (`pool.py`) to
carry out. Nobody reads the state to decide something: they ask for what they want, and this decides.

Kept at all times (property-tested):
* the reservations of all models that are loading, ready or stopping never exceed the budget, unless a
  worker measured larger than its estimate: then nothing more starts until that is paid back by idle ones;
* a model in use, pinned, or waited for by somebody who stands before whom it would make room for, is never stopped;
* every ticket is granted, refused or given up, exactly once;
* nobody waits for ever: a busy model whose memory the first in the line needs takes no newcomers once it has
  stayed a little, who stand behind in the line, so it is idle when its present users are done. Who could only
  wait for a pinned model to go is refused.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from config.errors import ModelFailed, NotEnoughMemory, TooManyRequests, Unavailable, VX11Error
from switch.residence import Model, Stage, evict

_OUTGROWN = 1.25  # of its reservation: what a worker may take before it is recycled
_LONGEST_REST = 5  # doublings of the cool-down
_BY_REQUEST = "unloaded by request"


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


@dataclass(frozen=True, slots=True)
class Limits:
    """The rules a lifecycle keeps. A model that others wait for may serve newcomers for `stay_loads` times what its
    load took, at most `stay_max_sec`, so that taking turns does not become all there is."""

    budget_mb: int
    ttl_sec: float
    cooldown_sec: float
    max_waiting: int
    stay_loads: float = 4.0
    stay_max_sec: float = 10.0


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

    def model(self, name: str) -> Model | None:
        """One of them."""
        return self._models.get(name)

    @property
    def reserved_mb(self) -> int:
        """The part of the budget that is taken."""
        return sum(model.reserved_mb for model in self._models.values())

    def wanted(self, ticket: int, name: str, need_mb: int, now: float) -> list[Effect]:
        """Somebody wants to use a model that needs `need_mb`."""
        model = self._models.setdefault(name, Model(name, need_mb, need_mb))
        refusal = self._refusal(model, need_mb, now)
        if refusal is not None:
            return [Refuse(ticket, refusal)]
        model.unwanted = False
        if model.stage is Stage.READY and not model.drains and not self._must_yield(model, now):
            return self._grant(model, ticket, now)
        model.waiting.append(ticket)
        if model.stage is not Stage.LOADING:
            self._line_up(model, need_mb)
        return self._make_room(now)

    def pin(self, name: str, need_mb: int, now: float) -> list[Effect]:
        """Have a model in memory until it is unpinned; NotEnoughMemory where the pinned ones alone would not fit."""
        model = self._models.setdefault(name, Model(name, need_mb, need_mb))
        pinned_mb, budget_mb = self._pinned_mb(besides=model), self._limits.budget_mb
        if need_mb + pinned_mb > budget_mb:
            raise NotEnoughMemory(
                f"{name} needs {need_mb} MiB; {pinned_mb} of the budget of {budget_mb} MiB are pinned already.",
                hint="Unpin another model first, or raise VX11_MODEL_MEMORY_MB.",
            )
        model.pinned, model.unwanted = True, False
        if model.stage in (Stage.ASLEEP, Stage.STOPPING):
            self._line_up(model, need_mb)
        return self._refuse_what_fits_no_more() + self._make_room(now)

    def unpin(self, name: str, now: float) -> list[Effect]:
        """A pinned model is one like the others again."""
        model = self._models.get(name)
        if model is None:
            return []
        model.pinned = False
        self._leave_line_unless_wanted(model)
        return self._make_room(now)

    def keep(self, name: str, ttl_sec: float | None) -> None:
        """A model has its own idle time from now on; None: that of all."""
        self._models.setdefault(name, Model(name, 0)).ttl_sec = ttl_sec

    def gave_up(self, ticket: int, name: str, now: float) -> list[Effect]:
        """The holder of `ticket` went away before its turn, or at the moment of it; a load under way goes on,
        for it is paid for (`unload` drops it)."""
        model = self._models[name]
        if ticket in model.waiting:
            model.waiting.remove(ticket)
        self._leave_line_unless_wanted(model)
        return self.released(ticket, name, now) if ticket in model.users else self._make_room(now)

    def loaded(self, name: str, now: float, measured_mb: int | None = None) -> list[Effect]:
        """The worker answers: everybody who waited may go in. A larger measured need corrects the ledger."""
        model = self._models[name]
        model.stage, model.loaded_at, model.last_used = Stage.READY, now, now
        model.load_sec = now - model.started_at
        model.measured_mb = measured_mb or 0
        model.learnt_mb = max(model.learnt_mb, model.measured_mb)
        model.base_mb = model.reserved_mb
        why = model.drains or (_BY_REQUEST if model.unwanted else "")
        if not why:
            return self._admit(model, now) + self._make_room(now)
        if model.waiting:
            self._line_up(model, model.estimate_mb)
        return [self._stop(model, why), *self._make_room(now)]

    def measured(self, name: str, measured_mb: int, now: float) -> list[Effect]:
        """What a worker takes now. One that has outgrown its reservation ends when nobody uses it, and the next one
        of its kind starts with what was learnt."""
        model = self._models[name]
        if model.stage is not Stage.READY:
            return []
        model.measured_mb = measured_mb
        model.learnt_mb = max(model.learnt_mb, measured_mb)
        if measured_mb <= _OUTGROWN * model.base_mb:
            return self._make_room(now)
        return self.drain(name, f"grew to {measured_mb} MiB; {model.base_mb} were reserved", now)

    def drain(self, name: str, why: str, now: float) -> list[Effect]:
        """This worker shall end once nobody uses it, and take no newcomers: it is not what they want, or not well."""
        model = self._models.get(name)
        if model is None or model.stage not in (Stage.LOADING, Stage.READY):
            return []
        model.drains = model.drains or why
        return self._stop_if_drained(model) + self._make_room(now)

    def failed(self, name: str, reason: str, now: float) -> list[Effect]:
        """The worker did not come up, or is of no use: its waiters are told, and it rests before the next try; twice
        as long after each failure, until a request was served."""
        model = self._models[name]
        model.failures += 1
        model.stage, model.failure, model.drains, model.measured_mb = Stage.COOLING, reason, "", 0
        model.unwanted = False
        model.users.clear()
        rest = self._limits.cooldown_sec * 2 ** min(model.failures - 1, _LONGEST_REST)
        model.cool_until = now + rest
        error = ModelFailed(f"{name} failed: {reason}", retry_after_sec=rest)
        refused: list[Effect] = [Refuse(ticket, error) for ticket in model.waiting]
        model.waiting.clear()
        if name in self._line:
            self._line.remove(name)
        return refused + self._make_room(now)

    def released(self, ticket: int, name: str, now: float) -> list[Effect]:
        """One use has ended; a use that its worker's death ended before is no longer counted."""
        model = self._models[name]
        if ticket in model.users:
            model.users.remove(ticket)
            model.failures = 0
        model.last_used = now
        return self._stop_if_drained(model) + self._make_room(now)

    def died(self, name: str, reason: str, now: float, *, rests: bool = False) -> list[Effect]:
        """A ready worker's process ended by itself; whoever still waits for it gets a new one. It `rests` where
        another would fare no better, and when it dies again before it has served anybody."""
        model = self._models[name]
        if rests or model.failures:
            return self.failed(name, reason, now)
        model.failures, model.failure = 1, reason
        return self.stopped(name, now)

    def stopped(self, name: str, now: float) -> list[Effect]:
        """The worker is gone and its memory is back."""
        model = self._models[name]
        model.stage, model.measured_mb, model.drains = Stage.ASLEEP, 0, ""
        model.users.clear()
        self._expect(model)
        return self._make_room(now)

    def unload(self, name: str) -> list[Effect] | None:
        """An operator wants the memory back: an idle model stops now, one that loads for nobody when it has loaded.
        None where it stays, because it is used, waited for or pinned."""
        model = self._models.get(name)
        if model is None or model.stage not in (Stage.LOADING, Stage.READY):
            return []
        if model.stage is Stage.LOADING and not model.waiting and not model.pinned:
            model.unwanted = True
            return []
        return [self._stop(model, _BY_REQUEST)] if model.is_idle else None

    def tick(self, now: float) -> list[Effect]:
        """Idle models whose time is over go to sleep, those that have cooled down may be tried again, and pinned
        ones that are not in memory are brought back."""
        for model in self._models.values():
            if model.stage is Stage.COOLING and now >= model.cool_until:
                model.stage = Stage.ASLEEP
            if model.stage is Stage.ASLEEP and model.pinned:
                self._line_up(model, model.estimate_mb)
        tired = [model for model in self._ready() if model.is_idle and now - model.last_used >= self._ttl_sec(model)]
        stops: list[Effect] = [self._stop(model, "idle") for model in tired]
        overdrawn = -(self._free_mb + self._returning_mb)
        if overdrawn > 0:
            stops += [self._stop(model, "memory needed") for model in self._cheapest(overdrawn, now)]
        return stops + self._refuse_what_fits_no_more() + self._make_room(now)

    def _refusal(self, model: Model, need_mb: int, now: float) -> VX11Error | None:
        if model.stage is Stage.COOLING and now < model.cool_until:
            wait = model.cool_until - now
            return ModelFailed(f"{model.name} failed: {model.failure}", retry_after_sec=wait)
        if need_mb > self._room_mb(model):
            return self._does_not_fit(model, need_mb)
        if len(model.waiting) >= self._limits.max_waiting:
            return TooManyRequests(f"{len(model.waiting)} requests wait for {model.name} already.", retry_after_sec=5)
        return None

    def _does_not_fit(self, model: Model, need_mb: int) -> Unavailable:
        pinned_mb = self._pinned_mb(besides=model)
        pins = f", of which {pinned_mb} are pinned" if pinned_mb else ""
        return Unavailable(
            f"{model.name} needs {need_mb} MiB; the budget for models is {self._limits.budget_mb} MiB{pins}.",
            hint="Raise VX11_MODEL_MEMORY_MB or choose a smaller model.",
        )

    def _refuse_what_fits_no_more(self) -> list[Effect]:
        """Who waits for a model that will not fit beside the pinned ones would wait for ever."""
        refused: list[Effect] = []
        for name in tuple(self._line):
            model = self._models[name]
            if model.stage is Stage.ASLEEP and model.need_mb > self._room_mb(model):
                refused += [Refuse(ticket, self._does_not_fit(model, model.need_mb)) for ticket in model.waiting]
                model.waiting.clear()
                self._line.remove(name)
        return refused

    def _line_up(self, model: Model, estimate_mb: int) -> None:
        """A model stands in the line from now on; a new estimate means a new file, of which nothing was learnt."""
        if estimate_mb != model.estimate_mb:
            model.estimate_mb, model.learnt_mb = estimate_mb, 0
        if model.stage is Stage.COOLING:
            model.stage = Stage.ASLEEP
        if model.stage is Stage.ASLEEP:
            self._expect(model)
        if model.name not in self._line:
            self._line.append(model.name)

    def _expect(self, model: Model) -> None:
        """What its next worker will reserve."""
        model.need_mb = max(model.estimate_mb, min(model.learnt_mb, self._room_mb(model)))

    def _leave_line_unless_wanted(self, model: Model) -> None:
        if model.name in self._line and not model.waiting and not model.pinned:
            self._line.remove(model.name)

    def _make_room(self, now: float) -> list[Effect]:
        """Start what stands in the line, in order; stop idle models where that makes it fit."""
        effects: list[Effect] = []
        for name in tuple(self._line):
            model = self._models[name]
            if self._is_ending(model):
                continue  # its old worker has to go first; `stopped` comes back here
            if model.stage is Stage.READY:  # it never had to make room after all
                effects += self._admit(model, now)
            elif self._free_mb >= model.need_mb:
                model.stage, model.started_at = Stage.LOADING, now
                effects.append(Start(model.name))
            else:
                return effects + self._stop_victims(model.need_mb, now)
            self._line.remove(name)
        return effects

    def _stop_victims(self, need_mb: int, now: float) -> list[Effect]:
        missing_mb = need_mb - self._free_mb - self._returning_mb
        return [self._stop(victim, "memory needed") for victim in self._cheapest(missing_mb, now)]

    def _cheapest(self, missing_mb: int, now: float) -> list[Model]:
        """The idle models that give so much back and are the cheapest to bring back; none where that is too little."""
        idle = sorted((one for one in self._ready() if one.is_idle), key=lambda one: (one.worth(now), one.last_used))
        return evict(missing_mb, 0, idle) or []

    def _must_yield(self, model: Model, now: float) -> bool:
        """Whether the first in the line needs the memory of `model`, ready and perhaps busy.

        Asked again for each newcomer, so the order must not change while models drain: it is that of loading.
        """
        if now - model.loaded_at < min(self._limits.stay_max_sec, self._limits.stay_loads * model.load_sec):
            return False
        first = next((one for name in self._line if not self._is_ending(one := self._models[name])), None)
        if first is None:
            return False
        movable = sorted((one for one in self._ready() if not one.pinned), key=lambda one: one.loaded_at)
        victims = evict(first.need_mb, self._free_mb + self._returning_mb, movable)
        return victims is not None and any(victim is model for victim in victims)

    def _stop_if_drained(self, model: Model) -> list[Effect]:
        drained = model.drains and model.stage is Stage.READY and not model.users
        return [self._stop(model, model.drains)] if drained else []

    @staticmethod
    def _is_ending(model: Model) -> bool:
        return model.stage is Stage.STOPPING or (model.stage is Stage.READY and bool(model.drains))

    def _ttl_sec(self, model: Model) -> float:
        return self._limits.ttl_sec if model.ttl_sec is None else model.ttl_sec

    def _pinned_mb(self, besides: Model) -> int:
        pinned = (one for one in self._models.values() if one.pinned and one is not besides)
        return sum(max(one.need_mb, one.measured_mb) for one in pinned)

    def _room_mb(self, model: Model) -> int:
        """What a model could have at most: the budget without what is pinned."""
        return self._limits.budget_mb - self._pinned_mb(besides=model)

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
        model.stage, model.drains, model.unwanted = Stage.STOPPING, "", False
        return Stop(model.name, why)
