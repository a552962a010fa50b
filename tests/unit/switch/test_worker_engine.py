"""The engine over a model that counts: continuous batching, queueing, cancelling and failing."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import Internal, ModelFailed, TooManyRequests, Unavailable, VX11Error
from switch.worker.engine import Engine
from switch.worker.outlet import End, Outlet, Output
from switch.worker.sampling import Sampling
from switch.worker.sequence import Finish, Job
from switch.worker.spec import WorkerSpec
from tests.support.compute import CountingCompute

DEADLINE = 10.0


def spec(**changes: int) -> WorkerSpec:
    plain = WorkerSpec(
        model_path="m", model_name="m", socket_path="s", n_ctx=64, n_seq_max=3, n_batch=8, n_chunk=4, max_waiting=4
    )
    return replace(plain, **changes)  # type: ignore[arg-type] # only whole numbers are changed here


def job(prompt: int, most: int | None = 3) -> Job:
    return Job(list(range(prompt)), Sampling(temperature=0), (), most)


def numbers(prompt: int, count: int) -> str:
    """What the counting model answers."""
    return "".join(f"{prompt + step} " for step in range(count))


class Answers:
    """Gathers what the engine delivers, by outlet."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._texts: dict[Outlet, str] = {}
        self._ends: dict[Outlet, End | VX11Error] = {}

    def deliver(self, outputs: list[Output]) -> None:
        with self._changed:
            for outlet, text, end, _chances in outputs:
                self._texts[outlet] = self._texts.get(outlet, "") + text
                if end is not None:
                    assert outlet not in self._ends, "an answer ends once"
                    self._ends[outlet] = end
            self._changed.notify_all()

    def end(self, outlet: Outlet) -> End | VX11Error:
        with self._changed:
            assert self._changed.wait_for(lambda: outlet in self._ends, DEADLINE), "the answer did not end"
            return self._ends[outlet]

    def text(self, outlet: Outlet) -> str:
        return self._texts.get(outlet, "")


class Bench:
    """An engine on its thread, and what it delivered."""

    def __init__(self, compute: CountingCompute, **changes: int) -> None:
        self.compute = compute
        self.answers = Answers()
        self.engine = Engine(compute, spec(**changes), self.answers.deliver)
        self.raised: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        if self._thread.ident is None:
            self._thread.start()

    def finish(self) -> None:
        self.engine.stop()
        self.compute.gate.set()
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()

    def ask(self, wanted: Job) -> Outlet:
        outlet = Outlet()
        self.engine.submit(wanted, outlet)
        return outlet

    def _run(self) -> None:
        try:
            self.engine.run()
        except RuntimeError as error:
            self.raised.append(error)


@contextmanager
def bench(compute: CountingCompute | None = None, *, begun: bool = True, **changes: int) -> Iterator[Bench]:
    one = Bench(compute or CountingCompute(), **changes)
    if begun:
        one.start()
    try:
        yield one
    finally:
        one.start()
        one.finish()


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
