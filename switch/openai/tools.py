"""`tools`, `tool_choice` and `parallel_tool_calls` of a chat request, checked and put in one order.

A conversation's later requests must render to the same first bytes, or nothing of its prompt can be reused. So a tool
is written in the order models are trained on, and the keys of its schema are sorted, except below `properties`:
in which order arguments come is the author's to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from switch.openai.constraint import too_large
from switch.openai.fields import Fields

MAX_TOOLS = 128
MAX_NESTING = 64
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")

Choice = Literal["auto", "required"]


@dataclass(frozen=True, slots=True)
class Tools:
    """The functions a model may call. `functions` holds OpenAI's tool objects; after `parse`, only those on offer.

    With `choice` "required" it must call one; a named one is required and the only one on offer.
    `parallel` allows several calls in one answer.
    """

    functions: list[dict[str, Any]]
    choice: Choice
    parallel: bool


def tools_of(fields: Fields) -> Tools | None:
    """Read the three members; None where there is nothing to call."""
    functions = _functions(fields)
    choice = fields.take("tool_choice")
    # One call at a time unless asked for more, as in llama.cpp's server: small models do not know when to stop.
    parallel = fields.flag("parallel_tool_calls")
    if choice == "none" or not functions:
        if choice not in (None, "none", "auto"):
            fields.wrong("tool_choice", "needs tools to choose from")
        return None
    if choice in (None, "auto", "required"):
        return Tools(functions, choice or "auto", parallel)
    named = _named(choice)
    chosen = [tool for tool in functions if tool["function"]["name"] == named]
    if not chosen:
        fields.wrong("tool_choice", "must be none, auto, required or one of the functions in tools, by its name")
    return Tools(chosen, "required", parallel)


def _named(choice: Any) -> Any:
    function = choice.get("function") if isinstance(choice, dict) and choice.get("type") == "function" else None
    return function.get("name") if isinstance(function, dict) else None


def _functions(fields: Fields) -> list[dict[str, Any]]:
    value = fields.take("tools")
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > MAX_TOOLS:
        fields.wrong("tools", f"must be a list of at most {MAX_TOOLS} tools")
        return []
    functions = [_function(fields, f"tools.{index}", tool) for index, tool in enumerate(value)]
    taken = [function for function in functions if function is not None]
    names = [tool["function"]["name"] for tool in taken]
    if len(set(names)) < len(names):
        fields.wrong("tools", "must not hold two functions of one name")
    return taken


def _function(fields: Fields, path: str, tool: Any) -> dict[str, Any] | None:
    function = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
    if not isinstance(function, dict):
        fields.wrong(path, "must be an object of type function")
        return None
    name, description = function.get("name"), function.get("description")
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        fields.wrong(f"{path}.function.name", "must be 1 to 64 letters, digits, underscores and dashes")
        return None
    if not (description is None or isinstance(description, str)):
        fields.wrong(f"{path}.function.description", "must be text")
    parameters = function.get("parameters")
    if parameters is None:
        parameters = {"type": "object", "properties": {}}
    if not isinstance(parameters, dict) or too_large(parameters):
        fields.wrong(f"{path}.function.parameters", "must be a JSON schema of modest size")
        return None
    described = {} if not description else {"description": description}
    ordered = _ordered(parameters, MAX_NESTING)
    return {"type": "function", "function": {"name": name, **described, "parameters": ordered}}


def _ordered(schema: Any, depth: int) -> Any:
    """`schema` with sorted keys, except below `properties`; what nests too deeply stays as it is."""
    if depth == 0:
        return schema
    if isinstance(schema, list):
        return [_ordered(part, depth - 1) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: _members(name, schema[name], depth - 1) for name in sorted(schema)}


def _members(name: str, value: Any, depth: int) -> Any:
    if name == "properties" and isinstance(value, dict) and depth:
        return {member: _ordered(part, depth - 1) for member, part in value.items()}
    return _ordered(value, depth)
