"""The ledger of cells against cells counted one by one."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from switch.worker.cells import Cells

SEQUENCES = st.integers(0, 4)


class Machine(RuleBasedStateMachine):
    """A cell is a set of its owners, as in llama.cpp; a sequence is a list of cells."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = Cells(1000)
        self.naive: dict[int, list[set[int]]] = {}

    @rule(seq_id=SEQUENCES, count=st.integers(1, 9))
    def grow(self, seq_id: int, count: int) -> None:
        self.cells.grow(seq_id, count)
        self.naive.setdefault(seq_id, []).extend({seq_id} for _ in range(count))

    @rule(source=SEQUENCES, taker=SEQUENCES, share=st.floats(0, 1))
    def share(self, source: int, taker: int, share: float) -> None:
        held = self.naive.get(source, [])
        length = int(len(held) * share)
        if length and not self.naive.get(taker):
            self.cells.share(source, taker, length)
            for cell in held[:length]:
                cell.add(taker)
            self.naive[taker] = list(held[:length])

    @rule(seq_id=SEQUENCES, length=st.integers(0, 40))
    def cut(self, seq_id: int, length: int) -> None:
        self.cells.cut(seq_id, length)
        held = self.naive.get(seq_id, [])
        for cell in held[length:]:
            cell.discard(seq_id)
        del held[length:]

    @invariant()
    def both_count_the_same(self) -> None:
        distinct = {id(cell) for held in self.naive.values() for cell in held}
        assert self.cells.used == len(distinct) == self.cells.total - self.cells.free
        for seq_id, held in self.naive.items():
            assert self.cells.length(seq_id) == len(held)
            assert self.cells.alone(seq_id) == sum(1 for cell in held if cell == {seq_id})
        some = {id(cell) for seq_id in (0, 2) for cell in self.naive.get(seq_id, [])}
        assert self.cells.held_by([0, 2]) == len(some)


TestCells = Machine.TestCase
TestCells.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
