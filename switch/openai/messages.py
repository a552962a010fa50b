"""The messages of a chat, checked and reduced to what templates know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from switch.openai.fields import Fields, at, is_unicode

MAX_MESSAGES = 10_000
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
Wrong = Callable[[str, str], None]


def messages_of(fields: Fields) -> list[dict[str, Any]]:
    """All messages; what is wrong with them is noted in `fields`."""
    value = fields.take("messages")
    if not isinstance(value, list) or not 0 < len(value) <= MAX_MESSAGES:
        fields.wrong("messages", f"must be a list of 1 to {MAX_MESSAGES} messages")
        return []
    messages = (_message(message, at(fields, f"messages.{index}")) for index, message in enumerate(value))
    return [message for message in messages if message is not None]


def _message(value: Any, wrong: Wrong) -> dict[str, Any] | None:
    """One message as templates take it, or None after noting what is wrong with it."""
    if not isinstance(value, dict):
        wrong("", "must be an object")
        return None
    for name in ("function_call", "audio"):
        if value.get(name):
            wrong(name, "is not supported")
    role = ROLES.get(role) if isinstance(role := value.get("role"), str) else None
    if role is None:
        wrong("role", f"must be one of {', '.join(ROLES)}")
        return None
    calls = _calls(value, wrong) if role == "assistant" else []
    if role != "assistant" and value.get("tool_calls"):
        wrong("tool_calls", "belongs to messages of the assistant")
    content = "" if calls and value.get("content") is None else _content(value.get("content"), wrong)
    if content is None:
        return None
    message: dict[str, Any] = {"role": role, "content": content}
    if calls:
        message["tool_calls"] = calls
    return {**message, **_answered(value, wrong)} if role == "tool" else message


def _answered(value: dict[str, Any], wrong: Wrong) -> dict[str, str]:
    """Which call a tool's message answers."""
    call = value.get("tool_call_id")
    if not (isinstance(call, str) and is_unicode(call)):
        wrong("tool_call_id", "must name the call that this answers")
        return {}
    name = value.get("name")
    return {"tool_call_id": call, **({"name": name} if isinstance(name, str) and is_unicode(name) else {})}


def _calls(value: dict[str, Any], wrong: Wrong) -> list[dict[str, Any]]:
    calls = value.get("tool_calls")
    if calls is None:
        return []
    if not isinstance(calls, list):
        wrong("tool_calls", "must be a list of calls")
        return []
    taken = [_call(call) for call in calls]
    if None in taken:
        wrong(f"tool_calls.{taken.index(None)}", "must be of type function, with an id, a name and arguments as text")
    return [call for call in taken if call is not None]


def _call(value: Any) -> dict[str, Any] | None:
    function = value.get("function") if isinstance(value, dict) and value.get("type", "function") == "function" else {}
    texts = [value.get("id"), function.get("name"), function.get("arguments")] if isinstance(function, dict) else [None]
    if not all(isinstance(text, str) and is_unicode(text) for text in texts) or len(texts) < 3:
        return None
    identity, name, arguments = texts
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def _content(value: Any, wrong: Wrong) -> str | None:
    """Text, or a list of text parts that are joined."""
    if isinstance(value, list):
        for index, part in enumerate(value):
            if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
                wrong(f"content.{index}", "must be a part of type text; others are not supported")
                return None
        value = "".join(part["text"] for part in value)
    if isinstance(value, str) and is_unicode(value):
        return value
    wrong("content", "must be text, or a list of text parts")
    return None
