"""How a model is told of tools and how it calls them: a format for each family, found in its chat template. Pure.

A template that knows tools is given them, and its family's marks are looked for in what the model says. For all other
models there is a way that needs nothing of them, llama.cpp's "generic" one: tools are described in the system
message, and a grammar lets the model say either calls or a response, both in JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import Enum
from typing import Any

from switch.openai.constraint import Constraint
from switch.openai.tools import Tools
from switch.worker.pattern import literal
from switch.worker.schema import Rules

MAX_CALLS = 8  # in one answer, where a grammar can hold a model back
_INSTRUCTION = (
    "You can call these tools to satisfy the user's request:\n\n{tools}\n\n"
    'Answer in JSON, either {{"tool_calls": [{{"name": ..., "arguments": {{...}}}}]}} to call tools, '
    'or {{"response": ...}} to reply to the user.'
)


class Format(Enum):
    """A family's way to write a call."""

    HERMES = "hermes"
    """`<tool_call>{"name": …, "arguments": …}</tool_call>`, any number of them: Hermes, Qwen and many others."""
    LLAMA = "llama"
    """The whole answer is `{"name": …, "parameters": …}`: Llama 3."""
    MISTRAL = "mistral"
    """`[TOOL_CALLS][{"name": …, "arguments": …}, …]`."""
    GENERIC = "generic"
    """`{"tool_calls": [{"name": …, "arguments": …}, …]}` or `{"response": …}`: a model that knows no tools."""


def format_of(template: str) -> Format:
    """The format that a chat template teaches."""
    if "tools" in template:
        if "<tool_call>" in template:
            return Format.HERMES
        if "[TOOL_CALLS]" in template and "[ARGS]" not in template:
            return Format.MISTRAL
        if "<|python_tag|>" in template or '{"name": function name, "parameters"' in template:
            return Format.LLAMA
    return Format.GENERIC


def grammar_for(form: Format, tools: Tools, reply: Constraint | None) -> str:
    """The grammar of an answer that may or must call `tools`; empty where the model is left to its own ways.

    `reply` is what an answer without calls must look like. Raises SchemaError.
    """
    if tools.choice == "auto" and reply is None and form is not Format.GENERIC:
        return ""
    rules = Rules()
    key = "parameters" if form is Format.LLAMA else "arguments"
    rules.define("call", " | ".join(_call(rules, index, tool, key) for index, tool in enumerate(tools.functions)))
    root = _calls(form, most=MAX_CALLS if tools.parallel else 1)
    if tools.choice == "auto":
        schema = {"type": "string"} if reply is None else reply.schema
        answer = rules.add("reply", schema, strict=reply is not None and reply.strict)
        wrapped = f'"{{" space "\\"response\\"" space ":" space {answer} space "}}"'
        root += f" | {wrapped if form is Format.GENERIC else answer}"
    rules.define("root", root)
    return rules.text()


def _call(rules: Rules, index: int, tool: dict[str, Any], key: str) -> str:
    """The rule of a call of one tool; its arguments keep to its schema as far as a grammar can."""
    function = tool["function"]
    arguments = rules.add(f"arguments{index}", {"type": "object", **function["parameters"]})
    name = literal(json.dumps(function["name"]))
    return f'"{{" space "\\"name\\":" space {name} "," space "\\"{key}\\":" space {arguments} space "}}"'


def _calls(form: Format, *, most: int) -> str:
    more = f"{{0,{most - 1}}}"
    if form is Format.HERMES:
        one = '"<tool_call>\\n" call "\\n</tool_call>"'
        return f'{one} ("\\n" {one}){more}'
    if form is Format.LLAMA:
        return "call"
    several = f'"[" space call ("," space call){more} space "]"'
    return (
        f'"[TOOL_CALLS]" {several}'
        if form is Format.MISTRAL
        else f'"{{" space "\\"tool_calls\\":" space {several} space "}}"'
    )


def with_tools(messages: Sequence[dict[str, Any]], tools: Tools | None, form: Format) -> list[dict[str, Any]]:
    """`messages` as a template of this format takes them."""
    if form is not Format.GENERIC:
        return [_with_objects(message) for message in messages]
    plain = [_without_tools(message) for message in messages]
    if tools is None:
        return plain
    told = _INSTRUCTION.format(
        tools="\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools.functions)
    )
    if plain[0]["role"] == "system":
        return [{"role": "system", "content": f"{plain[0]['content']}\n\n{told}"}, *plain[1:]]
    return [{"role": "system", "content": told}, *plain]


def _with_objects(message: dict[str, Any]) -> dict[str, Any]:
    """Arguments as an object where they are one: templates write them out themselves."""
    if "tool_calls" not in message:
        return message
    return {
        **message,
        "tool_calls": [{**call, "function": _parsed(call["function"])} for call in message["tool_calls"]],
    }


def _parsed(function: dict[str, Any]) -> dict[str, Any]:
    try:
        arguments = json.loads(function["arguments"])
    except (ValueError, RecursionError):
        arguments = None
    return {**function, "arguments": arguments} if isinstance(arguments, dict) else function


def _without_tools(message: dict[str, Any]) -> dict[str, Any]:
    """The message in the words of a model that knows only who speaks."""
    if message["role"] == "tool":
        answer = {
            "tool_response": {"tool": message.get("name", message.get("tool_call_id")), "content": message["content"]}
        }
        return {"role": "user", "content": json.dumps(answer, ensure_ascii=False)}
    if "tool_calls" not in message:
        return message
    functions = [_parsed(call["function"]) for call in message["tool_calls"]]
    said = {"tool_calls": functions, **({"response": message["content"]} if message["content"] else {})}
    return {"role": message["role"], "content": json.dumps(said, ensure_ascii=False)}
