"""Saved states in RAM stay within their budget."""

from hypothesis import given
from hypothesis import strategies as st

from switch.worker.states import State, States

TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=6)


def fill(view: memoryview) -> bool:
    view[:] = b"x" * len(view)
    return True


def nobody(state: State) -> None:
    raise AssertionError("nothing should have to go")


@given(st.lists(st.tuples(TOKENS, st.integers(0, 60)), max_size=20))
def test_the_budget_holds_and_what_is_there_is_found(wanted: list[tuple[list[int], int]]) -> None:
    dropped: list[list[int]] = []
    states = States(100, lambda state: dropped.append(state.tokens))
    for tokens, size in wanted:
        assert states.add(tokens, size, fill) is (size > 0)
        assert states.used == sum(state.size for state in states) <= 100
        assert len({tuple(state.tokens) for state in states}) == len(states)
        if size:
            assert next(states.matches(tokens))[0] == len(tokens)


def test_the_one_used_longest_ago_goes_first_and_is_told() -> None:
    dropped: list[list[int]] = []
    states = States(100, lambda state: dropped.append(state.tokens))
    for first in (1, 2):
        states.add([first], 40, fill)
    [(_, state)] = states.matches([1])
    states.touch(state)
    states.add([3], 40, fill)
    assert dropped == [[2]]


def test_a_state_replaces_those_of_its_beginnings() -> None:
    states = States(100, nobody)
    states.add([1, 2], 60, fill)
    states.add([1, 2, 3], 60, fill)
    assert [state.tokens for state in states] == [[1, 2, 3]]


def test_what_cannot_be_written_or_is_too_large_is_not_there() -> None:
    states = States(100, nobody)
    assert not states.add([1], 101, fill)
    assert not states.add([1], 10, lambda view: False)
    assert (len(states), states.used) == (0, 0)
