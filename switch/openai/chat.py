"""`POST /v1/chat/completions`: the body, checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from switch.openai.fields import Fields, at, is_unicode, json_object
from switch.openai.wish import Wish, wish_of

MAX_MESSAGES = 10_000
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """`POST /v1/chat/completions`: messages of `role` and `content`, both plain text."""

    messages: list[dict[str, str]]
    wish: Wish


def parse_chat(raw: bytes) -> ChatRequest:
    """Check a chat request; raises BadRequest for what is not JSON and Invalid for what is not as it should be."""
    fields = Fields(json_object(raw))
    messages = _messages(fields)
    wish = wish_of(fields, max_tokens_names=("max_completion_tokens", "max_tokens"))
    fields.finish()
    return ChatRequest(messages, wish)


def _messages(fields: Fields) -> list[dict[str, str]]:
    value = fields.take("messages")
    if not isinstance(value, list) or not 0 < len(value) <= MAX_MESSAGES:
        fields.wrong("messages", f"must be a list of 1 to {MAX_MESSAGES} messages")
        return []
    messages = (_message(message, at(fields, f"messages.{index}")) for index, message in enumerate(value))
    return [message for message in messages if message is not None]


def _message(value: Any, wrong: Callable[[str, str], None]) -> dict[str, str] | None:
    """One message as `role` and `content`, or None after noting what is wrong with it."""
    if not isinstance(value, dict):
        wrong("", "must be an object")
        return None
    for name in ("tool_calls", "function_call", "tool_call_id", "audio"):
        if value.get(name):
            wrong(name, "is not supported yet")
    role = ROLES.get(role) if isinstance(role := value.get("role"), str) else None
    if role is None:
        wrong("role", f"must be one of {', '.join(ROLES)}")
    content = _content(value.get("content"), wrong)
    return None if role is None or content is None else {"role": role, "content": content}


def _content(value: Any, wrong: Callable[[str, str], None]) -> str | None:
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
