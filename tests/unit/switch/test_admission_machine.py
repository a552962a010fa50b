"""Everything that waits, under whatever order of events hypothesis comes up with."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from config.errors import DeadlineExceeded, TooManyRequests
from switch.admission import Admission, Admitted, Bounds, Enter
from switch.line import Ask

BOUNDS = Bounds(parallel=3, max_waiting=12, max_waiting_tokens=2_000)
GREED = 4


class Clients(RuleBasedStateMachine):
    """Callers of several classes at two models, with books of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.admission = Admission(BOUNDS)
        self.now = 0.0
        self.tickets = 0
        self.waiting: dict[int, Ask] = {}
        self.inside: dict[int, Ask] = {}

    def carry_out(self, effects: list[Admitted]) -> None:
        for effect in effects:
            ask = self.waiting.pop(effect.ticket)
            if isinstance(effect, Enter):
                self.inside[effect.ticket] = ask
                continue
            assert isinstance(effect.error, (TooManyRequests, DeadlineExceeded))
            if isinstance(effect.error, TooManyRequests):
                assert (effect.error.retry_after_sec or 0) >= 1
                assert self.at(ask.model, self.waiting), "nobody is turned away while nobody waits"

    @staticmethod
    def at(model: str, asks: dict[int, Ask]) -> list[Ask]:
        return [ask for ask in asks.values() if ask.model == model]

    @rule(
        model=st.sampled_from("mn"),
        share=st.sampled_from(["ann", "bea", "cid"]),
        priority=st.integers(0, 4),
        seconds=st.sampled_from([0.1, 1.0, 20.0]),
        tokens=st.sampled_from([10, 500, 5_000]),
        width=st.sampled_from([1, 1, 1, 2, 5]),
        patience=st.sampled_from([None, None, 0.0, 5.0]),
        opens_in=st.sampled_from([0.0, 0.0, 3.0]),
    )
    def ask(
        self,
        model: str,
        share: str,
        priority: int,
        seconds: float,
        tokens: int,
        width: int,
        patience: float | None,
        opens_in: float,
    ) -> None:
        self.tickets += 1
        deadline = None if patience is None else self.now + patience
        ask = Ask(
            self.tickets, model, share, share, priority, seconds, 2 * seconds, tokens, width=width, deadline=deadline
        )
        self.waiting[self.tickets] = ask
        self.carry_out(self.admission.asked(ask, self.now, opens_in))

    @precondition(lambda self: self.inside)
    @rule(data=st.data(), seconds=st.sampled_from([None, 0.0, 0.5, 50.0]), started=st.booleans())
    def leave(self, data: st.DataObject, seconds: float | None, started: bool) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.inside)))
        ask = self.inside.pop(ticket)
        if started:
            self.admission.started(ticket, ask.model, self.now)
        self.carry_out(self.admission.left(ticket, ask.model, self.now, seconds))

    @precondition(lambda self: self.waiting or self.inside)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(sorted({*self.waiting, *self.inside})))
        ask = self.waiting.pop(ticket, None) or self.inside.pop(ticket)
        self.carry_out(self.admission.gave_up(ticket, ask.model, self.now))

    @rule(seconds=st.sampled_from([0.1, 5.0, 100.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(model=st.sampled_from("mn"), opens_in=st.sampled_from([0.0, 4.0]))
    def look(self, model: str, opens_in: float) -> None:
        self.now += 0.6  # so that it looks anew
        places = self.admission.places(model, self.now, opens_in)
        assert {ask.ticket for ask in self.at(model, self.waiting)} <= set(places)
        assert sorted(place.number for place in places.values()) == list(range(1, len(places) + 1))
        assert all(place.of == len(places) and place.seconds >= 0 for place in places.values())

    @invariant()
    def both_keep_the_same_books(self) -> None:
        for model in "mn":
            assert {ask.ticket for ask in self.admission.waiting(model)} == {
                ask.ticket for ask in self.at(model, self.waiting)
            }
            assert {one.ask.ticket for one in self.admission.inside(model)} == {
                ask.ticket for ask in self.at(model, self.inside)
            }

    @invariant()
    def no_more_are_inside_than_there_are_places(self) -> None:
        for model in "mn":
            inside = self.at(model, self.inside)
            assert len(inside) <= 1 or sum(ask.width for ask in inside) <= BOUNDS.parallel

    @invariant()
    def no_place_stays_empty_while_somebody_waits(self) -> None:
        for model in "mn":
            if waiting := self.admission.waiting(model):
                taken = sum(ask.width for ask in self.at(model, self.inside))
                assert taken + waiting[0].width > BOUNDS.parallel

    @invariant()
    def what_waits_is_bounded(self) -> None:
        for model in "mn":
            waiting = self.at(model, self.waiting)
            assert len(waiting) <= BOUNDS.max_waiting
            assert len(waiting) <= 1 or sum(ask.tokens for ask in waiting) <= max(
                BOUNDS.max_waiting_tokens, max(ask.tokens for ask in waiting) + BOUNDS.max_waiting_tokens
            )

    def teardown(self) -> None:
        """Everybody goes through in the end, and nothing is remembered of those who are gone."""
        for _ in range(1_000):
            if not self.inside:
                break
            ticket = min(self.inside)
            ask = self.inside.pop(ticket)
            self.carry_out(self.admission.left(ticket, ask.model, self.now))
        assert not self.waiting
        assert not self.admission.accounts


TestWhateverComes = Clients.TestCase
TestWhateverComes.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
