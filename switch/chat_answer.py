"""OpenAI's chat answers: made of the plain text a program says, and read for who wants the text alone. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from config.errors import BadPeer, Invalid

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\r(?=\n)")  # ECMA-48 CSI, OSC
# What a program cannot honour: asked for, it is refused; sampling it only ignores, which is said.
_NEEDED = ("tools", "functions", "response_format", "logprobs", "logit_bias", "modalities", "audio")
_IGNORED = ("temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop", "presence_penalty",
            "frequency_penalty")  # fmt: skip
_NO_WISH: tuple[object, ...] = (None, False, [], {}, {"type": "text"})


@dataclass(frozen=True, slots=True)
class Reply:
    """What a whole answer says: its text, why it ended, and all its tokens where they were told."""

    text: str
    finish_reason: str | None
    tokens: int | None


def beyond_programs(request: dict[str, Any]) -> list[str]:
    """The members of a request that a command-line program cannot honour."""
    found = [name for name in _NEEDED if request.get(name) not in _NO_WISH]
    return found + (["n"] if request.get("n") not in (None, 1) else [])


def ignored_by_programs(request: dict[str, Any]) -> list[str]:
    """The members of a request that change nothing when a command-line program answers."""
    return [name for name in _IGNORED if request.get(name) is not None]


def prompt_text(request: dict[str, Any]) -> str:
    """The messages of a chat as one text: a lone one as it is, several each under its role."""
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Invalid("`messages` must hold messages.", errors=[{"field": "messages", "message": "a list of messages"}])
    spoken = [_spoken(index, message) for index, message in enumerate(messages)]
    return spoken[0][1] if len(spoken) == 1 else "\n\n".join(f"{role}: {text}" for role, text in spoken)


def _spoken(index: int, message: object) -> tuple[str, str]:
    if isinstance(message, dict) and isinstance(role := message.get("role"), str):
        content = message.get("content")
        if isinstance(content, str):
            return role, content
        if isinstance(content, list) and all(_is_text(part) for part in content):
            return role, "\n".join(part["text"] for part in content)
    raise Invalid(
        "A program takes messages of plain text.", errors=[{"field": f"messages.{index}", "message": "role and text"}]
    )


def _is_text(part: object) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


def plain(output: bytes) -> str:
    """What a program printed, without the codes that colour a terminal."""
    return _CONTROL.sub("", output.decode("utf-8", "replace")).strip()


def whole(answer_id: str, created: int, model: str, text: str) -> bytes:
    """A `chat.completion`; its usage is null, because a program does not say its tokens."""
    message = {"role": "assistant", "content": text}
    body = {
        **_frame(answer_id, created, model, "chat.completion"),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": None,
    }
    return json.dumps(body).encode()


def events(answer_id: str, created: int, model: str, text: str) -> Iterator[bytes]:
    """The same as a stream: one chunk with the text, one that ends it, and `[DONE]`."""
    deltas: tuple[tuple[dict[str, str], str | None], ...] = (
        ({"role": "assistant", "content": text}, None),
        ({}, "stop"),
    )
    for delta, finish in deltas:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = {**_frame(answer_id, created, model, "chat.completion.chunk"), "choices": [choice], "usage": None}
        yield b"data: " + json.dumps(chunk).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


def _frame(answer_id: str, created: int, model: str, kind: str) -> dict[str, Any]:
    return {"id": answer_id, "object": kind, "created": created, "model": model}


def read_reply(body: bytes) -> Reply:
    """The reply in a whole chat answer; BadPeer for anything else."""
    try:
        answer = json.loads(body)
        choice = answer["choices"][0]
        text = choice["message"].get("content") or ""
        usage = answer.get("usage") or {}
        tokens, finish = usage.get("total_tokens"), choice.get("finish_reason")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise BadPeer("The provider's answer is not a chat completion.") from None
    if not isinstance(text, str):
        raise BadPeer("The provider's answer holds no text.")
    return Reply(text, finish if isinstance(finish, str) else None, tokens if isinstance(tokens, int) else None)
