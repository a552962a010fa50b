"""Request bodies: what is taken, what is refused, and that all faults are told at once."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import BadRequest, Invalid, VX11Error
from switch.openai import parse_chat, parse_completion
from switch.openai.wish import MAX_STOPS
from switch.worker.sampling import Sampling

CHAT = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def chat(**members: object) -> bytes:
    return json.dumps({**CHAT, **members}).encode()


def faults(raw: bytes) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        parse_chat(raw)
    return {error["field"]: error["message"] for error in caught.value.errors}


def test_the_least_one_can_ask() -> None:
    request = parse_chat(chat())
    assert request.messages == [{"role": "user", "content": "Hi"}]
    assert (request.wish.stream, request.wish.max_tokens, request.wish.stops) == (False, None, ())


def test_everything_one_can_ask() -> None:
    request = parse_chat(
        chat(
            temperature=0,
            top_p=0.5,
            top_k=7,
            min_p=0.1,
            seed=42,
            repeat_penalty=1.2,
            frequency_penalty=1,
            presence_penalty=-1,
            stop=["a", "b"],
            max_completion_tokens=9,
            max_tokens=5,
            stream=True,
            stream_options={"include_usage": True},
            user="u",
            metadata={},
            n=1,
            logprobs=False,
            response_format={"type": "text"},
            tools=[],
            logit_bias={},
        )
    )
    assert request.wish.sampling == Sampling(
        temperature=0,
        top_k=7,
        top_p=0.5,
        min_p=0.1,
        repeat_penalty=1.2,
        frequency_penalty=1,
        presence_penalty=-1,
        seed=42,
    )
    assert (request.wish.stops, request.wish.max_tokens, request.wish.include_usage) == (("a", "b"), 9, True)


def test_null_is_the_same_as_absent() -> None:
    request = parse_chat(chat(temperature=None, stop=None, max_tokens=None, stream=None, tools=None, seed=None, n=None))
    assert (request.wish.sampling.temperature, request.wish.stops) == (Sampling().temperature, ())


def test_text_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "Hello "}, {"type": "text", "text": "there"}]
    assert parse_chat(chat(messages=[{"role": "user", "content": parts}])).messages[0]["content"] == "Hello there"


def test_developer_is_what_templates_call_system() -> None:
    assert parse_chat(chat(messages=[{"role": "developer", "content": "x"}])).messages[0]["role"] == "system"


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"top_k": 1.5}, "top_k"),
        ({"seed": "x"}, "seed"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1e3}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"stop": 5}, "stop"),
        ({"stop": [""]}, "stop.0"),
        ({"stop": ["x"] * (MAX_STOPS + 1)}, "stop"),
        ({"stop": ["x" * 10_000]}, "stop.0"),
        ({"model": 7}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": ["Hi"]}, "messages.0"),
        ({"messages": [{"role": "king", "content": "Hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content.0"),
        ({"messages": [{"role": "assistant", "content": "x", "tool_calls": [{}]}]}, "messages.0.tool_calls"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages.0.content"),
        ({"n": 2}, "n"),
        ({"n": True}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"logprobs": 0}, "logprobs"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"temprature": 1}, "temprature"),
    ],
)
def test_a_fault_is_named(members: dict[str, object], field: str) -> None:
    assert set(faults(chat(**members))) == {field}


def test_what_is_not_built_yet_says_so() -> None:
    assert "not supported yet" in faults(chat(tools=[{"type": "function"}]))["tools"]


def test_all_faults_are_told_at_once() -> None:
    assert set(faults(chat(temperature=9, n=3, colour="red", messages=[]))) == {
        "temperature",
        "n",
        "colour",
        "messages",
    }


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_object_is_a_bad_request(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_chat(raw)


def test_a_seed_is_any_whole_number_and_never_the_one_that_means_random() -> None:
    for seed in (-1, 0, 0xFFFFFFFF, 1 << 60):
        assert 0 <= parse_chat(chat(seed=seed)).wish.sampling.seed < 0xFFFFFFFF


def test_without_a_seed_each_request_draws_its_own() -> None:
    assert len({parse_chat(chat()).wish.sampling.seed for _ in range(8)}) > 1


@pytest.mark.parametrize(
    ("prompt", "taken"), [("Once", "Once"), (["Once"], "Once"), ([1, 2], [1, 2]), ([[1, 2]], [1, 2])]
)
def test_a_prompt_is_text_or_tokens(prompt: object, taken: object) -> None:
    assert parse_completion(json.dumps({"model": "m", "prompt": prompt}).encode()).prompt == taken


@pytest.mark.parametrize("prompt", ["", [], ["a", "b"], [-1], [1.5], [True], {"a": 1}, None, [[]]])
def test_a_prompt_that_is_neither_is_refused(prompt: object) -> None:
    with pytest.raises(Invalid, match="prompt"):
        parse_completion(json.dumps({"model": "m", "prompt": prompt}).encode())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    [
        "model",
        "messages",
        "temperature",
        "stop",
        "seed",
        "stream",
        "stream_options",
        "n",
        "tools",
        "logit_bias",
        "top_k",
    ]
)


@settings(deadline=None)
@given(st.dictionaries(names, json_values, max_size=6))
def test_any_json_is_taken_or_answered_with_an_error_of_the_house(members: dict[str, object]) -> None:
    assert status_of(chat(**members)) in (200, 400, 422)


def status_of(raw: bytes) -> int:
    try:
        parse_chat(raw)
    except VX11Error as error:
        return error.status
    return 200
