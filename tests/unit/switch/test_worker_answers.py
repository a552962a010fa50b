"""Answer bodies and stream events, as OpenAI's clients read them."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import ModelFailed
from switch.worker.answers import DONE, Events, Heading, failure, whole
from switch.worker.outlet import End
from switch.worker.sequence import Finish

CHAT = Heading(kind="chat", id="chatcmpl-1", created=1, model='m"\\')
TEXT = Heading(kind="text", id="cmpl-1", created=1, model="m")
END = End(finish=Finish.STOP, prompt_tokens=10, completion_tokens=5, prompt_seconds=2.0, decode_seconds=0.5)


def data(events: bytes) -> list[dict[str, Any]]:
    lines = events.decode().split("\n\n")
    return [json.loads(line.removeprefix("data: ")) for line in lines if line and line != "data: [DONE]"]


def test_a_whole_chat_answer() -> None:
    body = json.loads(whole(CHAT, "Hé", END))
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "Hé"}
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"] == {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    assert (body["timings"]["prompt_per_second"], body["timings"]["predicted_per_second"]) == (5, 8)


def test_a_whole_text_answer() -> None:
    body = json.loads(whole(TEXT, "x", END))
    assert (body["object"], body["choices"][0]["text"]) == ("text_completion", "x")


def test_a_chat_stream_opens_with_the_role_and_closes_with_the_reason() -> None:
    events = Events(CHAT)
    [opening] = data(events.opening())
    [closing] = data(events.closing(END, include_usage=False))
    assert (opening["object"], opening["model"]) == ("chat.completion.chunk", CHAT.model)
    assert opening["choices"][0]["delta"]["role"] == "assistant"
    assert (closing["choices"][0]["delta"], closing["choices"][0]["finish_reason"]) == ({}, "stop")


def test_usage_comes_when_asked_for_in_an_event_without_choices() -> None:
    events = data(Events(TEXT).closing(END, include_usage=True))
    assert (events[-1]["choices"], events[-1]["usage"]["total_tokens"]) == ([], 15)


def test_the_end_mark_is_last() -> None:
    assert Events(CHAT).closing(END, include_usage=True).endswith(DONE)


def test_an_error_event_ends_a_stream_without_the_end_mark() -> None:
    event = failure(ModelFailed("It broke."))
    assert data(event)[0]["error"]["message"] == "It broke."
    assert DONE not in event


@settings(deadline=None)
@given(st.text())
def test_any_text_arrives_as_it_was_and_in_one_event(text: str) -> None:
    for heading in (CHAT, TEXT):
        event = Events(heading).text(text)
        assert event.count(b"\n") == 2
        [choice] = data(event)[0]["choices"]
        assert (choice["delta"]["content"] if heading is CHAT else choice["text"]) == text
