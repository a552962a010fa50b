"""The planning of batches: nobody who decodes waits, nothing overflows, the order is what llama.cpp wants."""

from hypothesis import given, settings
from hypothesis import strategies as st

from switch.worker.batch import Demand, Slice, plan

demands = st.dictionaries(st.integers(0, 15), st.tuples(st.integers(0, 3000), st.integers(0, 1000)), max_size=16).map(
    lambda by_id: [Demand(seq_id, pending, arrival) for seq_id, (pending, arrival) in by_id.items()]
)
limits = st.tuples(st.integers(16, 2048), st.integers(1, 512))


def test_nobody_has_anything() -> None:
    assert plan([Demand(0, 0, 1)], n_batch=8, n_chunk=4) == []


def test_decoding_sequences_go_together_in_order() -> None:
    found = plan([Demand(2, 1, 1), Demand(0, 1, 3), Demand(1, 1, 2)], n_batch=8, n_chunk=4)
    assert found == [Slice(0, 1, True), Slice(1, 1, True), Slice(2, 1, True)]


def test_a_prompt_alone_fills_the_batch() -> None:
    assert plan([Demand(0, 20, 1)], n_batch=8, n_chunk=4) == [Slice(0, 8, False)]


def test_a_prompt_beside_a_running_answer_is_held_to_a_chunk() -> None:
    assert plan([Demand(0, 20, 2), Demand(1, 1, 1)], n_batch=8, n_chunk=4) == [Slice(0, 4, False), Slice(1, 1, True)]


def test_the_older_prompt_goes_first_whatever_its_id() -> None:
    found = plan([Demand(0, 6, 9), Demand(1, 6, 3)], n_batch=8, n_chunk=4)
    assert found == [Slice(0, 2, False), Slice(1, 6, True)]


@settings(deadline=None)
@given(demands, limits)
def test_a_batch_is_ascending_bounded_and_honest(waiting: list[Demand], limit: tuple[int, int]) -> None:
    n_batch, n_chunk = limit
    found = plan(waiting, n_batch=n_batch, n_chunk=n_chunk)
    pending = {demand.seq_id: demand.pending for demand in waiting}
    ids = [part.seq_id for part in found]
    assert ids == sorted(set(ids))
    assert sum(part.size for part in found) <= n_batch
    assert all(0 < part.size <= pending[part.seq_id] for part in found)
    assert all(part.last == (part.size == pending[part.seq_id]) for part in found)


@settings(deadline=None)
@given(demands, limits)
def test_who_has_one_token_left_is_always_served(waiting: list[Demand], limit: tuple[int, int]) -> None:
    served = {part.seq_id for part in plan(waiting, n_batch=limit[0], n_chunk=limit[1])}
    assert {demand.seq_id for demand in waiting if demand.pending == 1} <= served


@settings(deadline=None)
@given(demands, limits)
def test_prompts_are_held_to_the_chunk_while_an_answer_runs_and_never_starve(
    waiting: list[Demand], limit: tuple[int, int]
) -> None:
    n_batch, n_chunk = limit
    decoding = sum(1 for demand in waiting if demand.pending == 1)
    prompts = [demand for demand in waiting if demand.pending > 1]
    given_to_prompts = sum(
        part.size
        for part in plan(waiting, n_batch=n_batch, n_chunk=n_chunk)
        if part.seq_id in {demand.seq_id for demand in prompts}
    )
    room = min(n_chunk, n_batch - decoding) if decoding else n_batch
    assert given_to_prompts == min(room, sum(demand.pending for demand in prompts))


@settings(deadline=None)
@given(demands.map(lambda found: [demand._replace(pending=demand.pending % 200) for demand in found]))
def test_work_always_ends(waiting: list[Demand]) -> None:
    left = {demand.seq_id: demand for demand in waiting}
    for _ in range(sum(demand.pending for demand in waiting) + 1):
        found = plan(left.values(), n_batch=64, n_chunk=16)
        if not found:
            break
        for part in found:
            demand = left[part.seq_id]
            left[part.seq_id] = demand._replace(pending=demand.pending - part.size)
    assert all(demand.pending == 0 for demand in left.values())
