"""`POST /v1/chat/completions`: the body, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from switch.openai.fields import Fields, json_object
from switch.openai.messages import messages_of
from switch.openai.tools import Tools, tools_of
from switch.openai.wish import MAX_LIKELIEST, Wish, wish_of

Overflow = Literal["error", "drop_oldest"]
_OVERFLOW: dict[str, Overflow] = {"error": "error", "drop_oldest": "drop_oldest"}


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """Messages of `role` and `content`, both plain text, some with `tool_calls` or a `tool_call_id`.

    `overflow` says what to do when the conversation does not fit the context: refuse it, or drop its oldest turns.
    """

    messages: list[dict[str, Any]]
    wish: Wish
    tools: Tools | None = None
    overflow: Overflow = "error"


def parse_chat(raw: bytes) -> ChatRequest:
    """Check a chat request; raises BadRequest for what is not JSON and Invalid for what is not as it should be."""
    fields = Fields(json_object(raw))
    messages, tools = messages_of(fields), tools_of(fields)
    wish = wish_of(fields, max_tokens_names=("max_completion_tokens", "max_tokens"), logprobs=_logprobs(fields))
    if tools and wish.constraint and wish.constraint.grammar:
        fields.wrong("grammar", "does not go together with tools")
    overflow = fields.choice("context_overflow", _OVERFLOW, "error")
    fields.finish()
    return ChatRequest(messages, wish, tools, overflow)


def _logprobs(fields: Fields) -> int | None:
    wanted = fields.flag("logprobs")
    likeliest = fields.whole("top_logprobs", low=0, high=MAX_LIKELIEST)
    if likeliest and not wanted:
        fields.wrong("top_logprobs", "goes with logprobs: true")
    return (likeliest or 0) if wanted else None
