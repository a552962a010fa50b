"""Chat answers made of a program's text, and streams put together again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from config.errors import BadPeer, Invalid, ModelFailed
from config.problems.outgoing import problem_event
from switch.chat_answer import (
    Assembly,
    beyond_programs,
    events,
    ignored_by_programs,
    plain,
    prompt_text,
    whole,
)

USER = {"role": "user", "content": "hi"}


def test_a_lone_message_is_the_prompt_as_it_is() -> None:
    assert prompt_text({"messages": [USER]}) == "hi"


def test_several_stand_each_under_its_role() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    messages = [{"role": "system", "content": "be"}, {"role": "user", "content": parts}]
    assert prompt_text({"messages": messages}) == "system: be\n\nuser: a\nb"


BAD_MESSAGES: list[Any] = [
    None,
    [],
    "hi",
    [7],
    [{"role": "user"}],
    [{"content": "x"}],
    [USER, {"role": 1, "content": ""}],
]


@pytest.mark.parametrize("messages", BAD_MESSAGES)
def test_what_a_program_cannot_be_told_is_refused(messages: Any) -> None:
    with pytest.raises(Invalid):
        prompt_text({"messages": messages})


def test_what_a_program_cannot_honour_is_named() -> None:
    asked = {"tools": [{}], "n": 2, "response_format": {"type": "json_object"}, "temperature": 0.1, "logprobs": False}
    assert beyond_programs(asked) == ["tools", "response_format", "n"]
    assert beyond_programs({"n": 1, "tools": [], "response_format": {"type": "text"}}) == []
    assert ignored_by_programs(asked) == ["temperature"]


def test_colours_and_titles_of_a_terminal_are_taken_off() -> None:
    assert plain(b"\x1b]0;title\x07\x1b[1;32mgreen\x1b[0m\r\nline\n\n") == "green\nline"


def test_bytes_that_are_no_text_do_not_end_an_answer() -> None:
    assert plain(b"a\xffb") == "a�b"


def test_a_program_s_answer_whole_and_streamed_says_the_same() -> None:
    answer = json.loads(whole("id", 7, "m", "text"))
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "text"}
    assert (answer["usage"], answer["choices"][0]["finish_reason"]) == (None, "stop")
    said = Assembly()
    for event in events("id", 7, "m", "text"):
        said.feed(event)
    said.ended()
    assert (said.text, said.finish_reason, said.tokens) == ("text", "stop", None)


def test_a_stream_put_together() -> None:
    said = Assembly()
    said.feed(b': vx11 {}\n\ndata: {"choices": [{"index": 0, "delta": {"role": "assistant"}}]}\n\ndata: {"choi')
    said.feed(b'ces": [{"index": 0, "delta": {"content": "a"}}, {"index": 1, "delta": {"content": "other"}}]}\n\n')
    said.feed(b'data: {"choices": [{"delta": {"content": "b"}, "finish_reason": "length"}]}\n\n')
    said.feed(b'data: {"choices": [], "usage": {"total_tokens": 9}}\n\ndata: [DONE]\n\n')
    said.ended()
    assert (said.text, said.finish_reason, said.tokens) == ("ab", "length", 9)


def test_an_error_in_a_stream_is_raised_as_what_it_was() -> None:
    with pytest.raises(ModelFailed, match="It died"):
        Assembly().feed(problem_event(ModelFailed("It died.")))


def test_half_a_stream_is_no_answer() -> None:
    said = Assembly()
    said.feed(b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n')
    with pytest.raises(BadPeer):
        said.ended()
