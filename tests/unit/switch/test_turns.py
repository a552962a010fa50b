"""Which models may compute, decision by decision and in whatever order hypothesis comes up with."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from switch.turns import Turns

CORES = 2
TURN_SEC = 2.0


def test_as_many_models_as_cores_go_at_once_and_the_next_waits() -> None:
    turns = Turns(2, TURN_SEC)
    assert turns.wanted(1, "a", 0) == [1]
    assert turns.wanted(2, "b", 0) == [2]
    assert turns.wanted(3, "c", 0) == []
    assert turns.waiting("c") == 1
    assert turns.left(1, "a", 1) == [3]


def test_within_its_turn_a_model_takes_newcomers_though_others_wait() -> None:
    turns = Turns(1, TURN_SEC)
    turns.wanted(1, "a", 0)
    turns.wanted(2, "b", 1)
    assert turns.wanted(3, "a", 1.9) == [3]
    assert turns.wanted(4, "a", 2) == []
    assert turns.left(1, "a", 3) == []
    assert turns.left(3, "a", 4) == [2]
    assert turns.left(2, "b", 5) == [4]


def test_only_as_many_models_yield_as_others_wait() -> None:
    turns = Turns(2, TURN_SEC)
    turns.wanted(1, "a", 0)
    turns.wanted(2, "b", 1)
    turns.wanted(3, "c", 5)
    assert turns.wanted(4, "b", 9) == [4]
    assert turns.wanted(5, "a", 9) == []


def test_those_who_made_way_go_on_when_nobody_needs_the_core_any_more() -> None:
    turns = Turns(1, TURN_SEC)
    turns.wanted(1, "a", 0)
    turns.wanted(2, "b", 5)
    assert turns.wanted(3, "a", 6) == []
    assert turns.left(2, "b", 7) == [3]


class Machine(RuleBasedStateMachine):
    """Requests for more models than cores."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = Turns(CORES, TURN_SEC)
        self.now = 0.0
        self.tickets = 0
        self.computing: dict[int, str] = {}
        self.waiting: dict[int, str] = {}

    def go(self, tickets: list[int]) -> None:
        for ticket in tickets:
            self.computing[ticket] = self.waiting.pop(ticket)

    @rule(model=st.sampled_from("abcd"))
    def want(self, model: str) -> None:
        self.tickets += 1
        self.waiting[self.tickets] = model
        self.go(self.turns.wanted(self.tickets, model, self.now))

    @precondition(lambda self: self.computing)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.computing)))
        self.go(self.turns.left(ticket, self.computing.pop(ticket), self.now))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.waiting)))
        self.go(self.turns.left(ticket, self.waiting.pop(ticket), self.now))

    @rule(seconds=st.sampled_from([0.5, 3.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def no_more_models_compute_than_there_are_cores(self) -> None:
        assert len(set(self.computing.values())) <= CORES

    @invariant()
    def no_core_is_idle_while_a_model_waits(self) -> None:
        strangers = set(self.waiting.values()) - set(self.computing.values())
        assert not strangers or len(set(self.computing.values())) == CORES

    def teardown(self) -> None:
        """However many keep coming, whoever waits now gets a core once those before have finished."""
        owed = set(self.waiting)
        for _ in range(4 * len(owed) + 20):
            self.now += TURN_SEC
            for model in "abcd":
                self.want(model)
            for ticket in sorted(self.computing)[: len(self.computing) // 2 + 1]:
                self.go(self.turns.left(ticket, self.computing.pop(ticket), self.now))
        assert not owed & set(self.waiting)


TestWhateverComes = Machine.TestCase
TestWhateverComes.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
