"""One request while it is generated: what it counts and when it ends."""

from hypothesis import given, settings
from hypothesis import strategies as st

from switch.worker.sampling import Sampling
from switch.worker.sequence import Finish, Job, Sequence

GREEDY = Sampling(temperature=0)


def sequence(
    *, prompt: int = 3, max_tokens: int | None = None, n_ctx: int = 10, stops: tuple[str, ...] = ()
) -> Sequence:
    return Sequence(Job(list(range(prompt)), GREEDY, stops, max_tokens), seq_id=0, arrival=1, n_ctx=n_ctx)


def test_the_prompt_is_pending_at_first() -> None:
    assert (sequence().pending, sequence().generated) == (3, 0)


def test_a_drawn_token_is_pending_and_counted() -> None:
    one = sequence()
    one.n_past = 3
    assert one.accept(7, b"hi", ends=False) == "hi"
    assert (one.pending, one.generated, one.finish) == (1, 1, None)


def test_the_token_that_ends_it_is_counted_and_shows_nothing() -> None:
    one = sequence()
    assert one.accept(2, b"</s>", ends=True) == ""
    assert (one.generated, one.finish) == (1, Finish.STOP)


def test_max_tokens_ends_it_by_length() -> None:
    one = sequence(max_tokens=2)
    one.accept(7, b"a", ends=False)
    assert one.finish is None
    one.accept(7, b"b", ends=False)
    assert one.finish is Finish.LENGTH


def test_the_context_ends_it_by_length() -> None:
    one = sequence(prompt=8, max_tokens=100, n_ctx=10)
    one.accept(7, b"a", ends=False)
    one.accept(7, b"b", ends=False)
    assert (one.generated, one.finish) == (2, Finish.LENGTH)


def test_a_stop_string_ends_it_and_is_not_shown() -> None:
    one = sequence(stops=("##",))
    assert one.accept(7, b"a#", ends=False) == "a"
    assert one.accept(7, b"#b", ends=False) == ""
    assert one.finish is Finish.STOP


def test_what_was_held_for_a_stop_string_comes_out_at_the_end() -> None:
    by_length, by_end = sequence(stops=("##",), max_tokens=1), sequence(stops=("##",))
    assert by_length.accept(7, b"a#", ends=False) == "a#"
    by_end.accept(7, b"a#", ends=False)
    assert by_end.accept(2, b"", ends=True) == "#"


@settings(deadline=None)
@given(st.integers(1, 50), st.none() | st.integers(1, 80), st.integers(51, 90))
def test_it_never_holds_more_than_it_may(prompt: int, max_tokens: int | None, n_ctx: int) -> None:
    job = Job(list(range(prompt)), GREEDY, (), max_tokens)
    one = Sequence(job, seq_id=0, arrival=1, n_ctx=n_ctx)
    while one.finish is None:
        one.accept(7, b"x", ends=False)
    assert len(one.tokens) == job.most_tokens(n_ctx) <= n_ctx
