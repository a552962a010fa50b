"""The radix tree against a naive longest common prefix."""

from itertools import takewhile

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from switch.worker.radix import RadixTree

TOKENS = st.lists(st.integers(0, 2), max_size=12)


def common(one: list[int], other: list[int]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


class Machine(RuleBasedStateMachine):
    """Any series of insertions, replacements and removals leaves the tree agreeing with a plain dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.tree: RadixTree[int] = RadixTree()
        self.held: dict[int, list[int]] = {}

    @rule(tokens=TOKENS, holder=st.integers(0, 6))
    def insert(self, tokens: list[int], holder: int) -> None:
        self.tree.insert(tokens, holder)
        self.held[holder] = tokens

    @rule(holder=st.integers(0, 6))
    def remove(self, holder: int) -> None:
        self.tree.remove(holder)
        self.held.pop(holder, None)
        assert holder not in self.tree

    @rule(prompt=TOKENS)
    def look_up(self, prompt: list[int]) -> None:
        found = list(self.tree.matches(prompt))
        naive = {holder: common(tokens, prompt) for holder, tokens in self.held.items()}
        assert sorted((holder, length) for length, holder in found) == sorted(
            (holder, length) for holder, length in naive.items() if length
        )
        assert [length for length, _ in found] == sorted((length for length, _ in found), reverse=True)

    @rule(tokens=TOKENS)
    def cover(self, tokens: list[int]) -> None:
        naive = [holder for holder, held in self.held.items() if held and tokens[: len(held)] == held]
        assert sorted(self.tree.covered(tokens)) == sorted(naive)

    @invariant()
    def all_are_found_by_their_own_tokens(self) -> None:
        for holder, tokens in self.held.items():
            assert not tokens or (len(tokens), holder) in list(self.tree.matches(tokens))


TestRadixTree = Machine.TestCase
TestRadixTree.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)


@given(st.lists(TOKENS, min_size=1, max_size=8))
def test_nothing_is_left_of_who_was_removed(sequences: list[list[int]]) -> None:
    tree: RadixTree[int] = RadixTree()
    for holder, tokens in enumerate(sequences):
        tree.insert(tokens, holder)
    for holder in range(len(sequences)):
        tree.remove(holder)
    assert tree._root.children == {}
    assert not tree._root.holders


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_a_long_run_parts_where_it_parts(parts_at: int, length: int) -> None:
    tree: RadixTree[str] = RadixTree()
    tree.insert(list(range(length)), "held")
    prompt = [*range(parts_at), *range(10_000, 10_010)]
    assert [match for match, _ in tree.matches(prompt)] == [min(parts_at, length)] * bool(min(parts_at, length))
