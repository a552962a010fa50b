"""The engine over a model that counts: continuous batching, queueing, cancelling and failing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import Internal, ModelFailed, TooManyRequests, Unavailable
from switch.worker.outlet import End, Outlet
from switch.worker.sequence import Finish
from tests.support.compute import CountingCompute
from tests.support.engine import DEADLINE, bench, job, numbers


def test_one_answer() -> None:
    with bench() as one:
        outlet = one.ask(job(20))
        end = one.answers.end(outlet)
    assert one.answers.text(outlet) == numbers(20, 3)
    assert isinstance(end, End)
    assert (end.finish, end.prompt_tokens, end.completion_tokens) == (Finish.LENGTH, 20, 3)


def test_the_end_token_ends_an_answer() -> None:
    compute = CountingCompute()
    compute.ending = frozenset({12})
    with bench(compute) as one:
        outlet = one.ask(job(10, None))
        end = one.answers.end(outlet)
    assert one.answers.text(outlet) == "10 11 "
    assert isinstance(end, End)
    assert (end.finish, end.completion_tokens) == (Finish.STOP, 3)


def test_answers_that_run_together_share_batches() -> None:
    with bench(begun=False) as one:
        outlets = [one.ask(job(2, 5)) for _ in range(3)]
        one.start()
        for outlet in outlets:
            one.answers.end(outlet)
        assert [one.answers.text(outlet) for outlet in outlets] == [numbers(2, 5)] * 3
    assert max(len(batch) for batch in one.compute.batches) == 3
    assert len(one.compute.batches) < 3 * 5


def test_more_than_fit_wait_their_turn_and_nothing_is_left_behind() -> None:
    with bench(begun=False, n_seq_max=1) as one:
        outlets = [one.ask(job(4)) for _ in range(4)]
        one.start()
        for outlet in outlets:
            one.answers.end(outlet)
        assert all(one.answers.text(outlet) == numbers(4, 3) for outlet in outlets)
    assert all(sampler.closed for sampler in one.compute.samplers)
    assert not one.compute.memory.used


def test_a_full_queue_refuses() -> None:
    with bench(begun=False, n_seq_max=1, max_waiting=2) as one:
        for _ in range(3):
            one.ask(job(4))
        with pytest.raises(TooManyRequests) as caught:
            one.ask(job(4))
    assert caught.value.retry_after_sec


def test_who_does_not_fit_the_shared_memory_waits_until_it_does() -> None:
    compute = CountingCompute()
    compute.gate.clear()
    with bench(compute, begun=False, kv_tokens=64) as one:
        first, second = one.ask(job(30, None)), one.ask(job(30, None))
        one.start()
        assert compute.entered.wait(DEADLINE)
        assert (one.engine.snapshot()["in_flight"], one.engine.snapshot()["waiting"]) == (1, 1)
        compute.gate.set()
        one.answers.end(first)
        one.answers.end(second)


def test_cancelling_inside_a_prefill_ends_the_batch_and_harms_nobody() -> None:
    compute = CountingCompute()
    compute.gate.clear()
    with bench(compute, begun=False, n_batch=40) as one:
        gone = Outlet()
        ticket = one.engine.submit(job(30), gone)
        stays = one.ask(job(8))
        one.start()
        assert compute.entered.wait(DEADLINE)
        one.engine.cancel(ticket)
        compute.gate.set()
        one.answers.end(stays)
    assert one.answers.text(stays) == numbers(8, 3)
    assert one.answers.text(gone) == ""
    assert one.engine.meter.cancelled == 1


def test_memory_that_cannot_be_cut_is_built_anew_after_an_abort() -> None:
    compute = CountingCompute(can_cut=False)
    compute.free_batches = 2
    compute.gate.clear()
    with bench(compute, begun=False) as one:
        stays = one.ask(job(20))
        ticket = one.engine.submit(job(30), Outlet())
        one.start()
        assert compute.entered.wait(DEADLINE)
        one.engine.cancel(ticket)
        compute.gate.set()
        one.answers.end(stays)
    assert one.answers.text(stays) == numbers(20, 3)
    assert sum(part.size for batch in compute.batches for part in batch if part.seq_id == 0) > 2 * 20


def test_a_waiting_request_that_is_cancelled_never_runs() -> None:
    with bench(begun=False, n_seq_max=1) as one:
        first = one.ask(job(4))
        second = one.engine.submit(job(4), Outlet())
        third = one.ask(job(4))
        one.engine.cancel(second)
        one.start()
        one.answers.end(first)
        one.answers.end(third)
    assert len(one.compute.samplers) == 2


def test_a_batch_that_cannot_compute_ends_its_requests_and_the_engine_goes_on() -> None:
    compute = CountingCompute()
    compute.failing = True
    with bench(compute) as one:
        error = one.answers.end(one.ask(job(4)))
        assert isinstance(error, ModelFailed)
        compute.failing = False
        outlet = one.ask(job(4))
        one.answers.end(outlet)
        assert one.answers.text(outlet) == numbers(4, 3)
    assert all(sampler.closed for sampler in compute.samplers)


def test_a_bug_is_told_to_everybody_and_the_engine_refuses_from_then_on() -> None:
    compute = CountingCompute()
    compute.broken = True
    with bench(compute, begun=False, n_seq_max=1) as one:
        outlets = [one.ask(job(4)), one.ask(job(4))]
        one.start()
        assert all(isinstance(one.answers.end(outlet), Internal) for outlet in outlets)
        with pytest.raises(Internal):
            one.ask(job(4))
    assert one.raised


def test_stopping_ends_what_runs_and_what_waits() -> None:
    compute = CountingCompute()
    compute.gate.clear()
    with bench(compute, begun=False, n_seq_max=1) as one:
        outlets = [one.ask(job(30)), one.ask(job(4))]
        one.start()
        assert compute.entered.wait(DEADLINE)
        one.engine.stop()
        assert all(isinstance(one.answers.end(outlet), Unavailable) for outlet in outlets)
        with pytest.raises(Unavailable):
            one.ask(job(4))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 12), st.booleans()), min_size=1, max_size=12),
    st.integers(1, 4),
    st.booleans(),
)
def test_every_request_gets_its_own_answer_whatever_the_others_do(
    wanted: list[tuple[int, int, bool]], n_seq_max: int, can_cut: bool
) -> None:
    with bench(CountingCompute(can_cut=can_cut), n_seq_max=n_seq_max, max_waiting=20) as one:
        kept = []
        for prompt, most, leaves in wanted:
            outlet = Outlet()
            ticket = one.engine.submit(job(prompt, most), outlet)
            if leaves:
                one.engine.cancel(ticket)
            else:
                kept.append((outlet, prompt, most))
        for outlet, prompt, most in kept:
            one.answers.end(outlet)
            assert one.answers.text(outlet) == numbers(prompt, most)
    assert all(sampler.closed for sampler in one.compute.samplers)
    assert not one.compute.memory.used
