"""Answer bodies and stream events, as OpenAI's clients read them."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import ModelFailed
from switch.worker.answers import DONE, Choice, Events, Heading, failure, last_events, timings, usage
from switch.worker.answers import whole as whole_of
from switch.worker.chances import Chance
from switch.worker.outlet import End
from switch.worker.sequence import Finish
from switch.worker.tool_reader import Argued, Called, Said

CHAT = Heading(kind="chat", id="chatcmpl-1", created=1, model='m"\\')
TEXT = Heading(kind="text", id="cmpl-1", created=1, model="m")
CACHED = End(
    finish=Finish.LENGTH, prompt_tokens=10, completion_tokens=7, prompt_seconds=2.0, decode_seconds=1.0, cached_tokens=6
)
END = End(finish=Finish.STOP, prompt_tokens=10, completion_tokens=5, prompt_seconds=2.0, decode_seconds=0.5)


def data(events: bytes) -> list[dict[str, Any]]:
    lines = events.decode().split("\n\n")
    return [json.loads(line.removeprefix("data: ")) for line in lines if line and line != "data: [DONE]"]


def whole(heading: Heading, text: str, end: End, **members: Any) -> bytes:
    return whole_of(heading, [Choice(texts=[text], end=end)], **members)


def test_a_whole_chat_answer() -> None:
    body = json.loads(whole(CHAT, "Hé", END))
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "Hé"}
    assert body["choices"][0]["finish_reason"] == "stop"
    details = {"prompt_tokens_details": {"cached_tokens": 0}}
    assert body["usage"] == {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, **details}
    assert (body["timings"]["prompt_per_second"], body["timings"]["predicted_per_second"]) == (5, 8)


def test_a_whole_text_answer() -> None:
    body = json.loads(whole(TEXT, "x", END))
    assert (body["object"], body["choices"][0]["text"]) == ("text_completion", "x")


def test_a_chat_stream_opens_with_the_role_and_closes_with_the_reason() -> None:
    events = Events(CHAT)
    [opening] = data(events.opening())
    [closing] = data(events.closing(END))
    assert (opening["object"], opening["model"]) == ("chat.completion.chunk", CHAT.model)
    assert opening["choices"][0]["delta"]["role"] == "assistant"
    assert (closing["choices"][0]["delta"], closing["choices"][0]["finish_reason"]) == ({}, "stop")


def test_usage_comes_when_asked_for_in_an_event_without_choices() -> None:
    events = data(last_events(TEXT, [END], include_usage=True))
    assert (events[-1]["choices"], events[-1]["usage"]["total_tokens"]) == ([], 15)


def test_the_end_mark_is_last() -> None:
    assert last_events(CHAT, [END], include_usage=True).endswith(DONE)
    assert last_events(CHAT, [END], include_usage=False) == DONE


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


def test_choices_share_their_prompt_and_add_up_their_answers() -> None:
    body = json.loads(whole_of(CHAT, [Choice(texts=["a"], end=CACHED), Choice(texts=["b"], end=END)]))
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    assert [choice["finish_reason"] for choice in body["choices"]] == ["length", "stop"]
    assert body["usage"]["total_tokens"] == 10 + 7 + 5
    assert (body["timings"]["prompt_n"], body["timings"]["predicted_n"]) == (4, 12)


def test_what_was_reused_is_told_in_both_tongues() -> None:
    assert usage([CACHED])["prompt_tokens_details"] == {"cached_tokens": 6}
    assert (timings([CACHED])["cache_n"], timings([CACHED])["prompt_n"]) == (6, 4)


def test_the_last_of_several_choices_has_the_timings() -> None:
    [first], [last] = data(Events(CHAT, 0).closing(END)), data(Events(CHAT, 1).closing(END, all_ends=[END, CACHED]))
    assert "timings" not in first
    assert (last["choices"][0]["index"], last["timings"]["predicted_n"]) == (1, 12)


def test_dropped_messages_are_told() -> None:
    heading = Heading(kind="chat", id="1", created=1, model="m", dropped_messages=3)
    assert json.loads(whole(heading, "x", END))["vx11"] == {"dropped_messages": 3}
    assert data(Events(heading).opening())[0]["vx11"] == {"dropped_messages": 3}
    assert "vx11" not in json.loads(whole(CHAT, "x", END))


CHANCES = (Chance("Hé".encode(), -0.5, (("Hé".encode(), -0.5), (b"\xc3", -2.0))), Chance(b"!", -1.0))


def test_chances_of_a_chat_are_a_list_of_tokens() -> None:
    [event] = data(Events(CHAT).text("Hé!", CHANCES))
    first, second = event["choices"][0]["logprobs"]["content"]
    assert (first["token"], first["logprob"], first["bytes"]) == ("Hé", -0.5, [72, 195, 169])
    assert [one["bytes"] for one in first["top_logprobs"]] == [[72, 195, 169], [195]]
    assert second["top_logprobs"] == []


def test_chances_of_a_text_are_lists_side_by_side() -> None:
    [event] = data(Events(TEXT).text("Hé!", CHANCES))
    told = event["choices"][0]["logprobs"]
    assert (told["tokens"], told["token_logprobs"], told["text_offset"]) == (["Hé", "!"], [-0.5, -1.0], [0, 2])
    assert told["top_logprobs"] == [{"Hé": -0.5, "\ufffd": -2.0}, {}]


def test_an_answer_of_calls_has_no_content_and_says_why_it_ended() -> None:
    choice = Choice(end=END)
    for delta in (Called(0, "call_1", "f"), Argued(0, '{"a":'), Argued(0, "1}")):
        choice.add(delta)
    body = json.loads(whole_of(CHAT, [choice]))["choices"][0]
    assert (body["message"]["content"], body["finish_reason"]) == (None, "tool_calls")
    assert body["message"]["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    ]


def test_calls_are_streamed_as_openai_streams_them() -> None:
    events = Events(CHAT)
    [begun] = data(events.delta(Called(1, "call_2", "f")))
    [going] = data(events.delta(Argued(1, '{"a"')))
    function = {"name": "f", "arguments": ""}
    call = {"index": 1, "id": "call_2", "type": "function", "function": function}
    assert begun["choices"][0]["delta"] == {"tool_calls": [call]}
    assert going["choices"][0]["delta"] == {"tool_calls": [{"index": 1, "function": {"arguments": '{"a"'}}]}
    assert data(events.delta(Said("x")))[0]["choices"][0]["delta"] == {"content": "x"}
    assert data(events.closing(END, calls=1))[0]["choices"][0]["finish_reason"] == "tool_calls"
    assert data(events.closing(CACHED, calls=1))[0]["choices"][0]["finish_reason"] == "length"
