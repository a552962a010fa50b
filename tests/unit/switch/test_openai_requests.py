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


def tool(name: str, **members: object) -> dict[str, object]:
    return {"type": "function", "function": {"name": name, **members}}


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
        ({"messages": [{"role": "assistant", "content": "x", "tool_calls": [{}]}]}, "messages.0.tool_calls.0"),
        ({"messages": [{"role": "assistant", "content": "x", "tool_calls": {}}]}, "messages.0.tool_calls"),
        ({"messages": [{"role": "user", "content": "x", "tool_calls": [{}]}]}, "messages.0.tool_calls"),
        ({"messages": [{"role": "user", "content": "x", "function_call": {"name": "f"}}]}, "messages.0.function_call"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.tool_call_id"),
        ({"messages": [{"role": "assistant", "content": None}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages.0.content"),
        ({"n": 0}, "n"),
        ({"n": 9}, "n"),
        ({"n": True}, "n"),
        ({"best_of": 3}, "best_of"),
        ({"logprobs": 0}, "logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"echo": True}, "echo"),
        ({"suffix": "x"}, "suffix"),
        ({"functions": [{}]}, "functions"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"repeat_last_n": -1}, "repeat_last_n"),
        ({"cache_prompt": "no"}, "cache_prompt"),
        ({"context_overflow": "shrink"}, "context_overflow"),
        ({"tools": [{"type": "function"}]}, "tools.0"),
        ({"tools": [{"type": "search"}]}, "tools.0"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools.0.function.name"),
        ({"tools": [tool("f", description=5)]}, "tools.0.function.description"),
        ({"tools": [tool("f", parameters=[])]}, "tools.0.function.parameters"),
        ({"tools": [tool("f"), tool("f")]}, "tools"),
        ({"tools": [tool("f")] * 129}, "tools"),
        ({"tools": {"f": 1}}, "tools"),
        ({"tools": [tool("f")], "tool_choice": "always"}, "tool_choice"),
        ({"tools": [tool("f")], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [tool("f")], "parallel_tool_calls": 1}, "parallel_tool_calls"),
        ({"tools": [tool("f")], "grammar": "root ::= [a-z]"}, "grammar"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": 5}}},
            "response_format.json_schema.schema",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {}, "strict": 1}}},
            "response_format.json_schema.strict",
        ),
        ({"response_format": {"type": "json_object", "schema": {"enum": ["x" * 300_000]}}}, "response_format.schema"),
        ({"response_format": {"type": "json_object"}, "grammar": "root ::= [a-z]"}, "grammar"),
        ({"grammar": 5}, "grammar"),
        ({"grammar": "a\0b"}, "grammar"),
        ({"grammar": "(" * 101}, "grammar"),
        ({"grammar": "x" * 70_000}, "grammar"),
        ({"logit_bias": [5]}, "logit_bias"),
        ({"logit_bias": {"x": 1}}, "logit_bias.x"),
        ({"logit_bias": {"5": 101}}, "logit_bias.5"),
        ({"logit_bias": {"5": True}}, "logit_bias.5"),
        ({"logit_bias": {str(token): 1 for token in range(2000)}}, "logit_bias"),
        ({"temprature": 1}, "temprature"),
    ],
)
def test_a_fault_is_named(members: dict[str, object], field: str) -> None:
    assert set(faults(chat(**members))) == {field}


def test_very_many_faults_are_not_all_told() -> None:
    assert len(faults(chat(messages=[5] * 9000))) == 50


def test_all_faults_are_told_at_once() -> None:
    assert set(faults(chat(temperature=9, n=30, colour="red", messages=[]))) == {
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


def test_messages_of_tools_and_calls_of_the_assistant_are_taken() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "42"}], "name": "f"},
    ]
    taken = parse_chat(chat(messages=messages)).messages
    assert taken[1] == {"role": "assistant", "content": "", "tool_calls": [call]}
    assert taken[2] == {"role": "tool", "content": "42", "tool_call_id": "c1", "name": "f"}


def test_tools_are_put_in_one_order_but_for_their_properties() -> None:
    properties = {"b": {"type": "string", "enum": ["x"]}, "a": {"description": "d", "type": "integer"}}
    one = tool("f", parameters={"type": "object", "required": ["b"], "properties": properties}, description="d")
    other = json.loads(json.dumps({"function": one["function"], "type": "function"}))
    taken = [parse_chat(chat(tools=[each])).tools for each in (one, other)]
    assert json.dumps(taken[0] and taken[0].functions) == json.dumps(taken[1] and taken[1].functions)
    assert taken[0] is not None
    assert list(taken[0].functions[0]["function"]) == ["name", "description", "parameters"]
    assert list(taken[0].functions[0]["function"]["parameters"]["properties"]) == ["b", "a"]
    assert list(taken[0].functions[0]["function"]["parameters"]) == ["properties", "required", "type"]


@pytest.mark.parametrize(
    ("choice", "names", "must"),
    [
        (None, ["f", "g"], "auto"),
        ("auto", ["f", "g"], "auto"),
        ("required", ["f", "g"], "required"),
        ({"type": "function", "function": {"name": "g"}}, ["g"], "required"),
    ],
)
def test_a_choice_of_tools(choice: object, names: list[str], must: str) -> None:
    tools = parse_chat(chat(tools=[tool("f"), tool("g")], tool_choice=choice)).tools
    assert tools is not None
    assert ([one["function"]["name"] for one in tools.functions], tools.choice) == (names, must)
    assert tools.parallel is False


def test_no_tools_are_to_be_called() -> None:
    assert parse_chat(chat(tools=[tool("f")], tool_choice="none")).tools is None


@pytest.mark.parametrize(
    ("asked", "schema", "strict"),
    [
        ({"type": "json_object"}, {"type": "object"}, False),
        ({"type": "json_object", "schema": {"type": "array"}}, {"type": "array"}, False),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"enum": [1]}, "strict": True}},
            {"enum": [1]},
            True,
        ),
    ],
)
def test_an_answer_can_be_asked_for_in_a_form(asked: object, schema: object, strict: bool) -> None:
    constraint = parse_chat(chat(response_format=asked)).wish.constraint
    assert constraint is not None
    assert (constraint.schema, constraint.strict, constraint.grammar) == (schema, strict, "")


def test_a_grammar_is_taken_as_it_stands() -> None:
    constraint = parse_completion(b'{"model": "m", "prompt": "x", "grammar": "root ::= [a-z]+"}').wish.constraint
    assert constraint is not None
    assert constraint.grammar == "root ::= [a-z]+"


def test_what_llama_cpp_offers_besides() -> None:
    wish = parse_chat(
        chat(logit_bias={"7": -100, "9": 2.5}, typical_p=0.5, repeat_last_n=0, n=3, best_of=3, cache_prompt=False)
    ).wish
    assert wish.sampling.logit_bias == ((7, -100.0), (9, 2.5))
    assert (wish.sampling.typical_p, wish.sampling.penalty_last_n, wish.choices, wish.reuse) == (0.5, 0, 3, False)


def test_chances_are_told_as_many_as_were_asked_for() -> None:
    assert parse_chat(chat()).wish.logprobs is None
    assert parse_chat(chat(logprobs=True)).wish.logprobs == 0
    assert parse_chat(chat(logprobs=True, top_logprobs=5)).wish.logprobs == 5
    assert parse_completion(b'{"model": "m", "prompt": "x", "logprobs": 3}').wish.logprobs == 3


def test_a_text_may_be_asked_for_no_token_at_all() -> None:
    assert parse_completion(b'{"model": "m", "prompt": "x", "max_tokens": 0}').wish.max_tokens == 0


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
        "tool_choice",
        "response_format",
        "grammar",
        "logprobs",
        "top_logprobs",
        "context_overflow",
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
