"""What an endpoint is sent, what its statuses mean, and that half an answer is never taken for a whole one."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import BadPeer, BadRequest, DeadlineExceeded, PeerTimeout, TooManyRequests, Unavailable, VX11Error
from switch.endpoint_answer import StreamCheck, body_for, message_in, refusal, whole_answer
from switch.event_stream import MAX_EVENT_BYTES, EventSplitter
from switch.failures import verdict
from switch.orders import Order, order_of

CHAT = "/v1/chat/completions"


def order(**members: Any) -> Order:
    return order_of(CHAT, json.dumps({"model": "m", **members}).encode())


def event(text: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    body = {"choices": [{"delta": {"content": text}, "finish_reason": finish}], **more}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}\n\n'
DONE = b"data: [DONE]\n\n"
WHOLE = event("a") + b": keep-alive\n\n" + event("b") + event(finish="stop") + USAGE + DONE
PASSED = event("a") + event("b") + event(finish="stop") + DONE


def checked(*pieces: bytes, **members: Any) -> bytes:
    check = StreamCheck(order(stream=True, **members), "p")
    passed = b"".join(check.passed(piece) for piece in pieces)
    return passed if check.is_over else passed + check.ended()


def test_what_the_caller_wrote_goes_as_it_is() -> None:
    asked = order(messages=[], temperature=0.5)
    assert body_for(asked) is asked.body


def test_usage_of_a_stream_is_always_asked_for() -> None:
    assert json.loads(body_for(order(stream=True)))["stream_options"] == {"include_usage": True}
    asked = order(stream=True, stream_options={"include_usage": True})
    assert body_for(asked) is asked.body


def test_what_is_meant_for_vx11_stays_here() -> None:
    sent = json.loads(body_for(order(metadata={"fallback": True, "mine": "x"})))
    assert sent["metadata"] == {"mine": "x"}


def test_the_chosen_model_is_named() -> None:
    asked = order_of(CHAT, b'{"model": "auto"}').for_model("m")
    assert json.loads(body_for(asked))["model"] == "m"


@given(st.lists(st.integers(0, len(WHOLE)), max_size=20))
def test_a_stream_cut_into_any_pieces_passes_whole(cuts: list[int]) -> None:
    borders = [0, *sorted(cuts), len(WHOLE)]
    assert checked(*(WHOLE[start:end] for start, end in pairwise(borders))) == PASSED


@given(st.integers(0, WHOLE.index(event(finish="stop")) + len(event(finish="stop")) - 1))
def test_half_a_stream_is_never_whole(end: int) -> None:
    with pytest.raises(BadPeer, match="broke off"):
        checked(WHOLE[:end])


def test_usage_that_was_asked_for_passes() -> None:
    assert USAGE in checked(WHOLE, stream_options={"include_usage": True})


def test_a_missing_done_is_supplied_and_nothing_passes_after_it() -> None:
    assert checked(event("a", "stop")) == event("a", "stop") + DONE
    assert checked(event("a", "stop") + DONE + event("more")) == event("a", "stop") + DONE


def test_every_answer_of_several_must_have_ended() -> None:
    with pytest.raises(BadPeer, match="broke off"):
        checked(event("a", "stop"), n=2)
    assert checked(event("a", "stop"), event("b", "stop"), n=2).endswith(DONE)


JUNK = [
    b"data: <html>\n\n",
    b"data: []\n\n",
    b"data: {}\n\n",
    b'data: {"choices": 7}\n\n',
    b'data: {"error": {"message": "no more"}}\n\n',
    DONE,
    b"data: " + b"x" * (MAX_EVENT_BYTES + 1),
]


@pytest.mark.parametrize("junk", JUNK, ids=range(len(JUNK)))
def test_junk_in_a_stream(junk: bytes) -> None:
    with pytest.raises(BadPeer):
        checked(event("a"), junk)


def test_events_may_end_in_any_kind_of_line() -> None:
    splitter = EventSplitter()
    assert list(splitter.feed(b"a: 1\r\n\r\nb: 2\n\nc")) == [b"a: 1\r\n\r\n", b"b: 2\n\n"]
    assert splitter.rest == b"c"


@pytest.mark.parametrize(
    "junk", [b"", b"<html>", b"[]", b"7", b"{}", b'{"choices": {}}', b'{"error": {"message": "x"}}', b"[" * 100_000]
)
def test_a_whole_answer_that_is_none(junk: bytes) -> None:
    with pytest.raises(BadPeer):
        whole_answer("p", junk)


def test_whole_answers() -> None:
    for body in (b'{"choices": []}', b'{"data": []}'):
        assert whole_answer("p", body) is body


MEANINGS: list[tuple[int, type[VX11Error], bool, bool]] = [
    (400, BadRequest, False, False),
    (401, Unavailable, True, True),
    (402, Unavailable, True, True),
    (403, Unavailable, True, True),
    (404, BadPeer, True, True),
    (422, BadRequest, False, False),
    (429, TooManyRequests, True, False),
    (500, BadPeer, True, True),
    (503, Unavailable, True, True),
    (302, BadPeer, True, True),
]


@pytest.mark.parametrize(("status", "kind", "falls_back", "counts"), MEANINGS)
def test_what_a_status_means(status: int, kind: type[VX11Error], falls_back: bool, counts: bool) -> None:
    error = refusal("p", status, "7", '{"error": {"message": "because"}}')
    found = verdict(error, "endpoint")
    assert type(error) is kind
    assert (found.falls_back, found.counts) == (falls_back, counts)


def test_retry_after_is_respected_and_has_bounds() -> None:
    assert verdict(refusal("p", 429, "7.5", ""), "endpoint").rest_sec == 7.5
    assert verdict(refusal("p", 429, "soon", ""), "endpoint").rest_sec == 10.0
    assert verdict(refusal("p", 429, "999999", ""), "endpoint").rest_sec == 3600.0
    assert verdict(refusal("p", 503, "30", ""), "endpoint").rest_sec == 30.0
    assert verdict(TooManyRequests("full", retry_after_sec=7), "local").rest_sec is None


def test_a_caller_whose_time_is_up_blames_nobody() -> None:
    found = verdict(PeerTimeout("late"), "endpoint", time_is_up=True)
    assert (found.falls_back, found.counts) == (False, False)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"error": {"message": "a"}}', "a"),
        ('{"error": "b"}', "b"),
        ('{"detail": "c"}', "c"),
        ('{"message": "d"}', "d"),
        ('{"error": {"message": 7}}', None),
        ("<html>", None),
        ("[]", None),
    ],
)
def test_messages(body: str, message: str | None) -> None:
    assert message_in(body) == message


def test_a_wait_too_long_for_the_caller_is_nobody_s_fault_but_another_may_be_quicker() -> None:
    found = verdict(DeadlineExceeded("three minutes"), "local")
    assert (found.falls_back, found.counts, found.rest_sec) == (True, False, None)
