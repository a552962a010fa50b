"""The memory of prompts, through the engine: nobody's tokens are mixed up, nothing is evaluated that is known."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switch.worker.archive import Archive
from switch.worker.outlet import End, Outlet
from switch.worker.sampling import Sampling
from switch.worker.sequence import Job
from switch.worker.state_files import StateFiles
from tests.support.compute import CountingCompute, CountingMemory
from tests.support.engine import DEADLINE, Bench, bench

GREEDY = Sampling(temperature=0)
KEPT: dict[str, Any] = {"n_kept": 3, "kept_tokens": 64, "min_reuse": 1}


def fingerprint(held: list[int]) -> int:
    """A next token that depends on every token before it and on where each stands."""
    return sum((place + 1) * (token + 1) for place, token in enumerate(held)) % 97


def expected(prompt: list[int], count: int) -> str:
    held = list(prompt)
    for _ in range(count):
        held.append(fingerprint(held))
    return "".join(f"{token} " for token in held[len(prompt) :])


def remembering(*, total: int = 192, window: int = 0) -> CountingCompute:
    compute = CountingCompute(memory=CountingMemory(total=total, window=window))
    compute.next = fingerprint
    return compute


def archive_of(compute: CountingCompute, *, ram_bytes: int = 4096, files: StateFiles | None = None) -> Archive:
    return Archive(compute.memory, ram_bytes=ram_bytes, files=files, shortest=1, cuts=True)


def answer(one: Bench, prompt: list[int], count: int = 3) -> End:
    outlet = one.ask(Job(prompt, GREEDY, (), count))
    end = one.answers.end(outlet)
    assert isinstance(end, End), end
    assert one.answers.text(outlet) == expected(prompt, count)
    return end


def evaluated(compute: CountingCompute) -> int:
    return sum(part.size for batch in compute.batches for part in batch)


def test_a_second_turn_starts_after_the_first() -> None:
    with bench(remembering(), **KEPT) as one:
        first = answer(one, list(range(20)))
        said = [int(word) for word in expected(list(range(20)), 3).split()]
        second = answer(one, [*range(20), *said, 5, 6])
    assert (first.cached_tokens, second.cached_tokens) == (0, 22)
    assert evaluated(one.compute) == 22 + 3 + 2, "the last token that was drawn is evaluated in the second turn"


def test_a_conversation_that_parts_leaves_the_other_as_it_was() -> None:
    with bench(remembering(), **KEPT) as one:
        answer(one, list(range(20)))
        assert answer(one, [*range(12), 50, 51]).cached_tokens == 12
        assert answer(one, [*range(20), 60]).cached_tokens == 20
        assert answer(one, [*range(12), 50, 51]).cached_tokens == 13, "at least one token is evaluated"


def test_nothing_is_shared_when_told_so() -> None:
    with bench(remembering(), min_reuse=1) as one:
        assert [answer(one, list(range(20))).cached_tokens for _ in range(2)] == [0, 0]
    with bench(remembering(), **KEPT) as one:
        for _ in range(2):
            outlet = one.ask(Job(list(range(20)), GREEDY, (), 3, reuse=False))
            end = one.answers.end(outlet)
            assert isinstance(end, End)
            assert end.cached_tokens == 0
        assert answer(one, list(range(20))).cached_tokens == 0, "what must not be reused is not remembered either"


def test_a_short_beginning_is_not_worth_it() -> None:
    with bench(remembering(), n_kept=3, min_reuse=8) as one:
        answer(one, list(range(20)))
        assert answer(one, [*range(7), 70, 71]).cached_tokens == 0
        assert answer(one, [*range(8), 70, 71]).cached_tokens == 8


def test_equal_prompts_that_arrive_together_are_read_once() -> None:
    with bench(remembering(), begun=False, n_seq_max=3, **KEPT) as one:
        outlets = [one.ask(Job(list(range(30)), GREEDY, (), 3)) for _ in range(3)]
        one.start()
        ends = [one.answers.end(outlet) for outlet in outlets]
    assert all(one.answers.text(outlet) == expected(list(range(30)), 3) for outlet in outlets)
    assert [end.cached_tokens for end in ends if isinstance(end, End)] == [0, 29, 29]
    assert evaluated(one.compute) == 30 + 2 + 2 * (1 + 2)


def test_who_awaits_a_beginning_goes_on_when_its_reader_leaves() -> None:
    compute = remembering()
    compute.free_batches, prompt = 1, list(range(30))
    compute.gate.clear()
    with bench(compute, begun=False, **KEPT) as one:
        ticket = one.engine.submit(Job(prompt, GREEDY, (), 3), Outlet())
        stays = one.ask(Job(prompt, GREEDY, (), 3))
        one.start()
        assert compute.entered.wait(DEADLINE)
        one.engine.cancel(ticket)
        compute.gate.set()
        end = one.answers.end(stays)
    assert one.answers.text(stays) == expected(prompt, 3)
    assert isinstance(end, End)
    assert end.cached_tokens == 8, "what the other had read before it left is not read again"


def test_what_another_has_read_so_far_is_shared_where_waiting_for_the_rest_is_not_worth_it() -> None:
    compute = remembering()
    compute.free_batches = 1
    compute.gate.clear()
    with bench(compute, begun=False, **{**KEPT, "n_ctx": 128}) as one:
        first = one.ask(Job(list(range(20)), GREEDY, (), 3))
        one.start()
        assert compute.entered.wait(DEADLINE)
        longer = [*range(20), *range(40, 90)]
        second = one.ask(Job(longer, GREEDY, (), 3))
        compute.gate.set()
        ends = [one.answers.end(first), one.answers.end(second)]
    assert one.answers.text(second) == expected(longer, 3)
    assert [end.cached_tokens for end in ends if isinstance(end, End)] == [0, 16]


def test_of_two_that_hold_the_same_the_longer_is_kept() -> None:
    with bench(remembering(), begun=False, **KEPT) as one:
        outlets = [one.ask(Job(list(range(20)), GREEDY, (), count)) for count in (3, 6, 4)]
        one.start()
        for outlet in outlets:
            one.answers.end(outlet)
        answer(one, [99] * 4)
        assert one.engine.prefixes.counts()["kept_sequences"] == 2


def test_a_sliding_window_is_saved_where_it_can_be_continued() -> None:
    compute = remembering(total=64, window=6)
    with bench(compute, archive_of(compute), kv_tokens=64, n_seq_max=1, **KEPT) as one:
        prompt = list(range(30))
        answer(one, prompt)
        answer(one, [70] * 50)
        assert answer(one, prompt).cached_tokens == 29, "another try"
        answer(one, [80] * 50)
        assert answer(one, [*prompt, *(int(word) for word in expected(prompt, 3).split()), 7]).cached_tokens == 29
        assert one.engine.prefixes.counts()["restored_from_ram"] == 2


def test_three_conversations_take_turns_on_two_places() -> None:
    compute = remembering(total=128)
    with bench(compute, archive_of(compute), n_seq_max=2, **KEPT) as one:
        prompts = [[base, *range(40)] for base in (90, 91, 92)]
        for prompt in prompts:
            answer(one, prompt)
        for _ in range(2):
            for prompt in prompts:
                prompt += [*(int(word) for word in expected(prompt, 3).split()), 7]
                assert answer(one, prompt).cached_tokens >= len(prompt) - 2
        assert one.engine.prefixes.counts()["restored_from_ram"] > 0


def test_what_left_ram_is_restored_from_disk_in_the_next_life(tmp_path: Path) -> None:
    prompt = list(range(40))
    for cached in (0, 39):
        compute = remembering()
        archive = archive_of(compute, files=StateFiles(tmp_path, b"k" * 32, 1 << 20))
        with bench(compute, archive, **KEPT) as one:
            assert answer(one, prompt).cached_tokens == cached
            assert one.engine.prefixes.counts()["restored_from_disk"] == (cached > 0)


def test_a_state_that_cannot_be_restored_is_read_anew() -> None:
    compute = remembering(total=64)
    with bench(compute, archive_of(compute), n_seq_max=1, **{**KEPT, "n_kept": 1, "kept_tokens": 0}) as one:
        answer(one, list(range(40)))
        answer(one, [*range(50, 90)])
        compute.memory.restores = False
        assert answer(one, list(range(40))).cached_tokens == 0
        assert one.engine.prefixes.counts()["restored_from_ram"] == 0


def test_when_cells_run_out_the_youngest_is_put_back_and_nobody_notices() -> None:
    compute = remembering(total=128)
    with bench(compute, archive_of(compute), begun=False, n_ctx=128, kv_tokens=128, n_seq_max=3, **KEPT) as one:
        prompts = [[base] * 20 for base in (10, 20, 30)]
        outlets = [one.ask(Job(prompt, GREEDY, (), 60)) for prompt in prompts]
        one.start()
        for outlet, prompt in zip(outlets, prompts, strict=True):
            assert isinstance(one.answers.end(outlet), End)
            assert one.answers.text(outlet) == expected(prompt, 60)
    assert one.engine.meter.put_back > 0
    assert all(sampler.closed for sampler in compute.samplers)


def test_a_request_without_a_limit_does_not_keep_others_out() -> None:
    compute = remembering(total=128)
    compute.ending = frozenset({fingerprint([1] * 10)})
    compute.gate.clear()
    with bench(compute, begun=False, n_ctx=128, kv_tokens=128, **KEPT) as one:
        outlets = [one.ask(Job([1] * 10, GREEDY)), one.ask(Job([2] * 10, GREEDY, (), 2))]
        one.start()
        assert compute.entered.wait(DEADLINE)
        assert one.engine.snapshot()["in_flight"] == 2
        compute.gate.set()
        for outlet in outlets:
            one.answers.end(outlet)


def test_a_kind_of_memory_that_counts_otherwise_gets_fewer_sequences() -> None:
    compute = remembering(total=70)
    compute.memory.is_strict = False
    with bench(compute, begun=False, n_ctx=64, kv_tokens=192, n_seq_max=3, **KEPT) as one:
        prompts = [[base] * 20 for base in (10, 20, 30)]
        outlets = [one.ask(Job(prompt, GREEDY, (), 20)) for prompt in prompts]
        one.start()
        for outlet, prompt in zip(outlets, prompts, strict=True):
            assert isinstance(one.answers.end(outlet), End)
            assert one.answers.text(outlet) == expected(prompt, 20)


PROMPTS = st.lists(st.integers(0, 1), min_size=1, max_size=40)
REQUESTS = st.lists(st.tuples(PROMPTS, st.integers(1, 24), st.integers(0, 5)), min_size=1, max_size=14)


@pytest.mark.parametrize("window", [0, 6])
@settings(max_examples=60, deadline=None)
@given(REQUESTS, st.integers(1, 3), st.integers(0, 3), st.integers(0, 40), st.sampled_from([0, 80, 400]), st.booleans())
def test_everybody_gets_what_they_would_get_alone(
    window: int,
    requests: list[tuple[list[int], int, int]],
    n_seq_max: int,
    n_kept: int,
    kept_tokens: int,
    ram_bytes: int,
    has_disk: bool,
) -> None:
    """Whatever is shared, kept, saved, put back or left on the way, with as few cells as there may be."""
    compute = remembering(total=64, window=window)
    changes: dict[str, Any] = {
        "n_seq_max": n_seq_max,
        "n_kept": n_kept,
        "kept_tokens": kept_tokens,
        "kv_tokens": 64,
        "min_reuse": 1,
    }
    with tempfile.TemporaryDirectory() as folder:
        files = StateFiles(Path(folder), b"k" * 32, 4096) if has_disk else None
        archive = Archive(compute.memory, ram_bytes=ram_bytes, files=files, shortest=1, cuts=n_kept > 0)
        with bench(compute, archive, max_waiting=20, **changes) as one:
            staying = []
            for prompt, count, kind in requests:
                outlet = Outlet()
                ticket = one.engine.submit(Job(prompt, GREEDY, (), count, reuse=kind != 1), outlet)
                if kind == 0:
                    one.engine.cancel(ticket)
                else:
                    staying.append((outlet, prompt, count))
                if kind == 2:
                    one.answers.end(outlet)
            for outlet, prompt, count in staying:
                assert isinstance(one.answers.end(outlet), End)
                assert one.answers.text(outlet) == expected(prompt, count)
        assert compute.memory.used == one.engine.prefixes.cells.used
    assert all(sampler.closed for sampler in compute.samplers)
