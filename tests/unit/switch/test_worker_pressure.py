"""How many threads are worth running, told what the clocks say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.worker.pressure import Pressure, Reading

LOOK = 0.04
NOTICED = 3 * LOOK  # a neighbour who takes a whole core


class Machine:
    """A worker of a pressure on a machine whose cores others take: it looks every 40 ms while it works."""

    def __init__(self, cores: int) -> None:
        self.cores = cores
        self.pressure = Pressure(cores)
        self.wall = self.waited = self.idle = 0.0

    @property
    def reading(self) -> Reading:
        return Reading(self.wall, self.waited, self.idle)

    def works(self, seconds: float, others: float = 0.0) -> list[int]:
        """Step for a while beside `others`, in cores; the threads at each look."""
        self.pressure.begins(self.reading)
        chosen = []
        for _ in range(round(seconds / LOOK)):
            in_use = self.pressure.threads
            self.waited += max(0.0, in_use + others - self.cores) * LOOK
            self.idle += max(0.0, self.cores - in_use - others) * LOOK
            self.wall += LOOK
            self.pressure.looks(self.reading)
            chosen.append(self.pressure.threads)
        self.pressure.rests(self.reading)
        return chosen

    def rests(self, seconds: float, others: float = 0.0) -> None:
        self.wall += seconds
        self.idle += max(0.0, self.cores - others) * seconds


def test_a_free_machine_is_used_whole() -> None:
    assert set(Machine(2).works(2)) == {2}


def test_a_core_that_is_taken_is_given_up_within_three_looks_and_stays_so() -> None:
    chosen = Machine(2).works(2, others=1)
    assert (chosen[0], set(chosen[2:])) == (2, {1})


def test_only_as_many_threads_as_cores_are_missing_are_given_up() -> None:
    assert set(Machine(8).works(2, others=3)) == {5}


def test_our_own_chain_takes_nothing_away() -> None:
    assert set(Machine(2).works(2, others=0.2)) == {2}


def test_a_burst_of_our_own_chain_takes_nothing_away_and_a_lasting_one_does() -> None:
    machine = Machine(2)
    assert machine.works(LOOK, others=0.6) == [2]
    assert set(machine.works(1, others=0.1)) == {2}
    assert machine.works(1, others=0.6)[-1] == 1


def test_a_core_that_comes_free_is_taken_back_while_working() -> None:
    machine = Machine(2)
    machine.works(1, others=1)
    assert machine.works(1)[-1] == 2


def test_cores_that_were_idle_in_a_rest_are_used_from_the_first_step() -> None:
    machine = Machine(4)
    machine.works(1, others=3)
    machine.rests(1)
    assert machine.works(LOOK)[0] == 4


def test_a_rest_beside_others_brings_nothing_back() -> None:
    machine = Machine(2)
    machine.works(1, others=1)
    machine.rests(1, others=1)
    assert machine.works(LOOK, others=1)[0] == 1


def test_a_short_rest_says_nothing() -> None:
    machine = Machine(2)
    machine.works(1, others=1)
    machine.rests(0.05)
    assert machine.works(LOOK)[0] == 1


def test_who_comes_and_goes_is_tried_less_and_less_often() -> None:
    machine = Machine(2)
    machine.works(1, others=1)
    waits = []
    for _ in range(5):
        waits.append(machine.works(10).index(2))
        machine.pressure.begins(machine.reading)
        machine.works(NOTICED, others=1)
    assert waits[0] * LOOK < 0.5
    assert waits == [waits[0]] * 5, "ten calm seconds are long enough to start anew"
    for expected in (2, 4, 8):
        machine.works(waits[0] * LOOK * expected * 2)
        machine.works(NOTICED, others=1)
    assert machine.works(waits[0] * LOOK * 3) == [1] * (waits[0] * 3)


def test_one_core_is_one_thread() -> None:
    assert set(Machine(1).works(1, others=3)) == {1}


@given(
    st.integers(1, 8),
    st.lists(st.tuples(st.floats(0.04, 2), st.floats(0, 10), st.booleans()), max_size=20),
)
def test_there_is_always_one_thread_and_never_more_than_may_be(
    cores: int, days: list[tuple[float, float, bool]]
) -> None:
    machine = Machine(cores)
    for seconds, others, rests in days:
        if rests:
            machine.rests(seconds, others)
        else:
            assert all(1 <= threads <= cores for threads in machine.works(seconds, others))


@pytest.mark.parametrize("step", [0.0, -1.0])
def test_clocks_that_stand_still_or_sums_that_shrink_decide_nothing(step: float) -> None:
    pressure = Pressure(2)
    pressure.begins(Reading(1, 5, 5))
    pressure.looks(Reading(1 + max(step, 0), 5 + step, 5))
    assert pressure.threads == 2
