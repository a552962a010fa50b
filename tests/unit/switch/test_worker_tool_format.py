"""Families of models and how they are told of tools."""

import json
from typing import Any

import pytest

from switch.openai.constraint import Constraint
from switch.openai.tools import Tools
from switch.worker.schema import SchemaError
from switch.worker.tool_format import Format, format_of, grammar_for, with_tools


def tools(choice: str = "auto", *, parallel: bool = False, parameters: object = None) -> Tools:
    function = {"name": "f", "parameters": parameters or {"type": "object", "properties": {}}}
    return Tools([{"type": "function", "function": function}], choice, parallel)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("template", "form"),
    [
        ("{{ tools }} <tool_call>", Format.HERMES),
        ("{{ tools }} [TOOL_CALLS]", Format.MISTRAL),
        ("{{ tools }} <|python_tag|>", Format.LLAMA),
        ("{{ tools }} in a way of its own", Format.GENERIC),
        ("<tool_call> but no list of them", Format.GENERIC),
        ("{{ messages }}", Format.GENERIC),
    ],
)
def test_a_format_is_found_in_the_template(template: str, form: Format) -> None:
    assert format_of(template) is form


CALL: dict[str, Any] = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "S"},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c", "content": "42"},
]


def test_templates_with_tools_are_given_arguments_as_objects() -> None:
    told = with_tools(MESSAGES, tools(), Format.HERMES)
    assert told[1]["tool_calls"][0]["function"]["arguments"] == {"a": 1}
    assert told[2] == MESSAGES[2]


def test_arguments_that_are_no_object_stay_text() -> None:
    broken = {**CALL, "function": {"name": "f", "arguments": "{"}}
    told = with_tools([{**MESSAGES[1], "tool_calls": [broken]}], None, Format.HERMES)
    assert told[0]["tool_calls"][0]["function"]["arguments"] == "{"


def test_templates_without_tools_hear_of_calls_in_words() -> None:
    told = with_tools(MESSAGES, tools(), Format.GENERIC)
    assert told[0]["content"].startswith("S\n\nYou can call")
    assert json.loads(told[1]["content"]) == {"tool_calls": [{"name": "f", "arguments": {"a": 1}}]}
    assert told[2]["role"] == "user"
    assert json.loads(told[2]["content"]) == {"tool_response": {"tool": "c", "content": "42"}}


def test_a_conversation_without_tools_is_left_alone() -> None:
    plain = [{"role": "user", "content": "Hi"}]
    assert all(with_tools(plain, None, form) == plain for form in Format)


def test_a_model_that_knows_tools_is_left_to_its_ways_where_it_may_choose() -> None:
    assert grammar_for(Format.HERMES, tools(), None) == ""
    assert grammar_for(Format.HERMES, tools("required"), None) != ""
    assert grammar_for(Format.GENERIC, tools(), None) != ""
    assert grammar_for(Format.LLAMA, tools(), Constraint("response_format", schema={"type": "object"})) != ""


def test_a_tool_whose_schema_is_none_is_refused() -> None:
    with pytest.raises(SchemaError, match="leads nowhere"):
        grammar_for(Format.GENERIC, tools(parameters={"properties": {"a": {"$ref": "#/$defs/x"}}}), None)
