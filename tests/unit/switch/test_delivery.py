"""An answer on its way: nothing is taken back that was given, and what goes wrong is said where it still can be."""

from __future__ import annotations

import json

import pytest

from config.errors import ModelFailed
from config.streaming import CutOff, Head
from switch.delivery import Delivery, headers_of
from switch.waiting import Waiting

WHO = headers_of("local", "a", "named by the caller")
EVENTS = Head(200, ((b"content-type", b"text/event-stream"),))
JSON = Head(200, ((b"content-type", b"application/json"),))
WAITING = Waiting(place=3, of=7, seconds=4.5, state="queued", progress=None)
FAILURE = ModelFailed("It died.")


def delivery(*, streams: bool = True, tells: bool = True) -> Delivery:
    return Delivery(WHO, 100.0, streams=streams, tells=tells)


def test_a_head_gets_the_headers_of_who_answers() -> None:
    [head] = delivery().head(EVENTS)
    assert isinstance(head, Head)
    assert head.headers == EVENTS.headers + WHO


def test_waiting_is_told_after_two_seconds_and_begins_the_stream() -> None:
    going = delivery()
    assert going.waiting(WAITING, 101.9) == []
    assert not going.begun
    head, comment = going.waiting(WAITING, 102.0)
    assert isinstance(head, Head)
    assert dict(head.headers)[b"x-vx11-provider"] == b"local"
    assert isinstance(comment, bytes)
    assert comment.startswith(b": vx11 {")
    assert comment.endswith(b"}\n\n")
    assert json.loads(comment[7:]) == {"state": "queued", "place": 3, "of": 7, "seconds": 4.5, "progress": None}
    assert len(going.waiting(WAITING, 103.0)) == 1
    assert going.head(EVENTS) == []
    assert going.piece(b"data: x\n\n") == [b"data: x\n\n"]
    assert going.ended() == []


@pytest.mark.parametrize(("streams", "tells"), [(False, True), (True, False)])
def test_where_nobody_could_read_it_waiting_is_not_told(streams: bool, tells: bool) -> None:
    assert delivery(streams=streams, tells=tells).waiting(WAITING, 200.0) == []


def test_before_the_first_byte_an_error_is_an_error() -> None:
    with pytest.raises(ModelFailed):
        delivery().failed(FAILURE)


def test_in_a_stream_it_is_the_last_event() -> None:
    going = delivery()
    going.head(EVENTS)
    [last] = going.failed(FAILURE)
    assert isinstance(last, bytes)
    assert json.loads(last.strip().removeprefix(b"data: "))["error"]["code"] == "model_failed"


def test_an_answer_that_is_not_streamed_is_cut_off() -> None:
    going = delivery()
    going.head(JSON)
    with pytest.raises(CutOff):
        going.failed(FAILURE)


def test_a_refusal_after_waiting_was_told_becomes_an_event() -> None:
    going = delivery()
    going.waiting(WAITING, 102.0)
    assert going.head(Head(400, ((b"content-type", b"application/problem+json"),))) == []
    assert going.piece(b'{"code":\n') == []
    assert going.piece(b'"context_overflow"}') == []
    assert going.ended() == [b'data: {"code": "context_overflow"}\n\n']


def test_what_a_header_cannot_hold_is_escaped() -> None:
    headers = dict(headers_of("a\r\nx: y", "modèle✨", "z" * 1000))
    assert headers[b"x-vx11-provider"] == b"a  x: y"
    assert headers[b"x-vx11-model"] == b"mod\\xe8le\\u2728"
    assert len(headers[b"x-vx11-decision"]) == 400
