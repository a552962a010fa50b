"""What is read off an answer that passes by, however it is cut into pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ModelFailed
from switch.account import Account
from switch.worker import answers
from switch.worker.outlet import End
from switch.worker.sequence import Finish

END = End(Finish.LENGTH, prompt_tokens=11, completion_tokens=42, prompt_seconds=0.1, decode_seconds=1.0)
HEADING = answers.Heading("chat", "chatcmpl-1", 0, "a")
EVENTS = answers.Events(HEADING)
TRICKY = '"finish_reason": "stop", "prompt_n": 1 \n data: {"error": {"code": "no"}}'
STREAM = EVENTS.opening() + EVENTS.text("Hello" * 500) + EVENTS.text(TRICKY)
WHOLE_STREAM = STREAM + EVENTS.closing(END, all_ends=[END]) + answers.last_events(HEADING, [END], include_usage=True)
JSON, SSE = b"application/json", b"text/event-stream; charset=utf-8"


def account(*pieces: bytes, status: int = 200, kind: bytes = SSE) -> Account:
    watched = Account(100.0)
    watched.begins(status, kind)
    for number, piece in enumerate(pieces, 1):
        watched.piece(piece, 100.0 + number)
    return watched


def test_a_whole_answer() -> None:
    seen = account(answers.whole(HEADING, [answers.Choice(texts=[TRICKY], end=END)]), kind=JSON)
    assert (seen.outcome, seen.finish_reason) == ("ok", "length")
    assert (seen.prompt_tokens, seen.completion_tokens, seen.streams) == (11, 42, False)


@given(st.lists(st.integers(0, len(WHOLE_STREAM)), max_size=20))
def test_a_streamed_answer_cut_anywhere(cuts: list[int]) -> None:
    borders = [0, *sorted(cuts), len(WHOLE_STREAM)]
    seen = account(*(WHOLE_STREAM[start:end] for start, end in pairwise(borders)))
    assert (seen.outcome, seen.finish_reason) == ("ok", "length")
    assert (seen.prompt_tokens, seen.completion_tokens, seen.streams) == (11, 42, True)


def test_a_stream_that_was_left_tells_no_counts() -> None:
    seen = account(STREAM)
    assert (seen.outcome, seen.finish_reason, seen.prompt_tokens) == ("cancelled", None, None)


def test_a_stream_that_ended_in_an_error_event_says_which() -> None:
    failure = answers.failure(ModelFailed('It said "code": "no" and broke.'))
    assert account(STREAM, failure).outcome == "model_failed"


@pytest.mark.parametrize("status", [400, 404, 503])
def test_a_refusal(status: int) -> None:
    assert account(b'{"code": "context_overflow"}', status=status, kind=JSON).outcome == "refused"


def test_what_broke_is_said_whatever_went_by() -> None:
    seen = account(WHOLE_STREAM)
    seen.broke = "worker_died"
    assert seen.outcome == "worker_died"


def test_an_answer_that_never_began() -> None:
    seen = Account(100.0)
    assert (seen.outcome, seen.status, seen.ttft_ms, seen.latency_ms(100.25)) == ("cancelled", None, None, 250.0)


def test_times_are_milliseconds_since_the_request_came() -> None:
    seen = account(b"data: 1\n\n", b"data: 2\n\n")
    assert (seen.ttft_ms, seen.latency_ms(103.5)) == (1000.0, 3500.0)


def test_a_stream_without_usage_is_counted_by_what_was_evaluated_and_reused() -> None:
    end = End(Finish.STOP, 11, 42, prompt_seconds=0.1, decode_seconds=1.0, cached_tokens=9)
    seen = account(STREAM, EVENTS.closing(end, all_ends=[end]) + answers.DONE)
    assert (seen.prompt_tokens, seen.completion_tokens) == (11, 42)
