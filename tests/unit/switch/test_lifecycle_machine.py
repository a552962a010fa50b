"""The owner of all models' state, under whatever order of events hypothesis comes up with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from config.errors import NotEnoughMemory
from switch.lifecycle import Effect, Grant, Lifecycle, Limits, Refuse, Start, Stop
from switch.residence import Model, Stage

LIMITS = Limits(budget_mb=100, ttl_sec=300, cooldown_sec=30, max_waiting=5)
NEEDS_MB = {"a": 20, "b": 40, "c": 60, "d": 90}


class Shell(RuleBasedStateMachine):
    """Does on paper what `pool.py` does with processes, and keeps books of its own to compare."""

    def __init__(self) -> None:
        super().__init__()
        self.life = Lifecycle(LIMITS)
        self.now = 0.0
        self.tickets = 0
        self.waiting: dict[int, str] = {}
        self.using: dict[int, str] = {}
        self.processes: dict[str, str] = {}  # loading, ready or stopping
        self.line: list[str] = []  # models in the order in which somebody began to wait for them
        self.pinned: set[str] = set()

    def carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Start(name):
                    assert name not in self.processes, "one worker a model"
                    assert name in self.waiting.values() or name in self.pinned, "nothing is loaded for nobody"
                    self.processes[name] = "loading"
                case Stop(name, why):
                    self.check_victim(name, why)
                    self.processes[name] = "stopping"
                case Grant(ticket, name):
                    assert self.waiting.pop(ticket) == name
                    assert self.processes[name] == "ready"
                    self.using[ticket] = name
                case Refuse(ticket, _):
                    del self.waiting[ticket]
        if any(isinstance(effect, Start) for effect in effects):
            assert self.life.reserved_mb <= LIMITS.budget_mb, "nothing starts on credit"
        self.line = [name for name in self.line if name in self.waiting.values()]

    def check_victim(self, name: str, why: str) -> None:
        assert self.processes[name] == "ready"
        assert name not in self.using.values()
        assert name not in self.pinned or why == "drained" or why.startswith("grew")
        first = next((one for one in self.line if self.processes.get(one) is None), None)
        if why == "memory needed" and first is not None:
            assert name != first, "a model makes room for those before its own waiters only"

    def pick(self, data: st.DataObject, of: list[Any]) -> Any:
        return data.draw(st.sampled_from(sorted(of)))

    def model(self, name: str) -> Model:
        return next(one for one in self.life.models() if one.name == name)

    def in_state(self, state: str) -> list[str]:
        return [name for name, found in self.processes.items() if found == state]

    @rule(name=st.sampled_from("abcd"))
    def want(self, name: str) -> None:
        self.tickets += 1
        self.waiting[self.tickets] = name
        if name not in self.line:
            self.line.append(name)
        self.carry_out(self.life.wanted(self.tickets, name, NEEDS_MB[name], self.now))

    @rule(name=st.sampled_from("abcd"))
    def want_again(self, name: str) -> None:
        """Twice, because wanting is what most happens."""
        self.want(name)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        ticket = self.pick(data, list(self.waiting))
        name = self.waiting.pop(ticket)
        self.line = [one for one in self.line if one in self.waiting.values()]
        self.carry_out(self.life.gave_up(ticket, name, self.now))

    @precondition(lambda self: self.using)
    @rule(data=st.data(), how=st.sampled_from(["released", "gave_up"]))
    def end_use(self, data: st.DataObject, how: str) -> None:
        ticket = self.pick(data, list(self.using))
        name = self.using.pop(ticket)
        end: Callable[[int, str, float], list[Effect]] = getattr(self.life, how)
        self.carry_out(end(ticket, name, self.now))

    @precondition(lambda self: self.using)
    @rule()
    def end_all_uses(self) -> None:
        for ticket, name in list(self.using.items()):
            del self.using[ticket]
            self.carry_out(self.life.released(ticket, name, self.now))

    @precondition(lambda self: self.in_state("loading"))
    @rule(data=st.data(), measured_mb=st.sampled_from([None, None, None, 10, 70, 150, "fails"]))
    def load(self, data: st.DataObject, measured_mb: int | str | None) -> None:
        name = self.pick(data, self.in_state("loading"))
        if isinstance(measured_mb, str):
            del self.processes[name]
            self.carry_out(self.life.failed(name, "it would not", self.now))
        else:
            self.processes[name] = "ready"
            effects = self.life.loaded(name, self.now, measured_mb)
            is_wanted = name in self.waiting.values() or name in self.pinned
            assert not (is_wanted and Stop(name, "unloaded by request") in effects), "somebody came after that request"
            self.carry_out(effects)

    @precondition(lambda self: self.in_state("ready"))
    @rule(data=st.data(), rests=st.booleans())
    def die(self, data: st.DataObject, rests: bool) -> None:
        name = self.pick(data, self.in_state("ready"))
        del self.processes[name]
        self.carry_out(self.life.died(name, "it died", self.now, rests=rests))
        for ticket in [ticket for ticket, used in self.using.items() if used == name]:
            del self.using[ticket]
            self.carry_out(self.life.released(ticket, name, self.now))

    @precondition(lambda self: self.in_state("stopping"))
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        name = self.pick(data, self.in_state("stopping"))
        del self.processes[name]
        self.carry_out(self.life.stopped(name, self.now))

    @precondition(lambda self: self.in_state("ready") or self.in_state("loading"))
    @rule(name=st.sampled_from("abcd"))
    def unload(self, name: str) -> None:
        effects = self.life.unload(name)
        if effects is None:
            assert name in (*self.using.values(), *self.waiting.values(), *self.pinned), "nobody is in the way"
        self.carry_out(effects or [])

    @rule(seconds=st.sampled_from([1, 31, 31, 301]))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds
        self.carry_out(self.life.tick(self.now))

    @rule(name=st.sampled_from("abcd"))
    def pin(self, name: str) -> None:
        was, self.pinned = self.pinned, {*self.pinned, name}
        try:
            effects = self.life.pin(name, NEEDS_MB[name], self.now)
        except NotEnoughMemory:
            self.pinned = was
        else:
            self.carry_out(effects)

    @precondition(lambda self: self.pinned)
    @rule(data=st.data())
    def unpin(self, data: st.DataObject) -> None:
        name = self.pick(data, list(self.pinned))
        self.pinned.discard(name)
        self.carry_out(self.life.unpin(name, self.now))

    @precondition(lambda self: self.processes)
    @rule(data=st.data(), grown_mb=st.sampled_from([None, 10, 45, 120]))
    def drain(self, data: st.DataObject, grown_mb: int | None) -> None:
        name = self.pick(data, list(self.processes))
        if grown_mb is None:
            self.carry_out(self.life.drain(name, "drained", self.now))
        else:
            self.carry_out(self.life.measured(name, grown_mb, self.now))

    @invariant()
    def the_budget_holds(self) -> None:
        larger = any(one.measured_mb > one.need_mb and one.reserved_mb for one in self.life.models())
        assert larger or self.life.reserved_mb <= LIMITS.budget_mb

    @invariant()
    def both_keep_the_same_books(self) -> None:
        for one in self.life.models():
            assert one.users == {ticket for ticket, name in self.using.items() if name == one.name}
            assert set(one.waiting) == {ticket for ticket, name in self.waiting.items() if name == one.name}
            in_memory = one.stage if one.stage not in (Stage.ASLEEP, Stage.COOLING) else None
            assert in_memory == self.processes.get(one.name)

    def teardown(self) -> None:
        """Let everything end in its own time: nobody may be left waiting."""
        for name in sorted(self.pinned):
            self.unpin_now(name)
        for _ in range(200):
            if not self.waiting:
                break
            self.settle_something()
        assert not self.waiting

    def unpin_now(self, name: str) -> None:
        self.pinned.discard(name)
        self.carry_out(self.life.unpin(name, self.now))

    def settle_something(self) -> None:
        for name in self.in_state("loading"):
            self.processes[name] = "ready"
            self.carry_out(self.life.loaded(name, self.now))
        for name in self.in_state("stopping"):
            del self.processes[name]
            self.carry_out(self.life.stopped(name, self.now))
        self.end_all_uses()
        self.pass_time(1)


TestWhateverComes = Shell.TestCase
TestWhateverComes.settings = settings(max_examples=100, stateful_step_count=80, deadline=None)
