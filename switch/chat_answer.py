"""OpenAI's chat answers: made of the plain text a program says, and read for who wants the text alone. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from config.errors import BadPeer, Invalid
from config.problems.incoming import error_from_answer
from switch.event_stream import EventSplitter, content_of, is_comment, is_done

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\r(?=\n)")  # ECMA-48 CSI, OSC
# What a program cannot honour: asked for, it is refused; sampling it only ignores, which is said.
_NEEDED = ("tools", "functions", "response_format", "logprobs", "logit_bias", "modalities", "audio")
_IGNORED = ("temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop", "presence_penalty",
            "frequency_penalty")  # fmt: skip
_NO_WISH: tuple[object, ...] = (None, False, [], {}, {"type": "text"})


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


class Assembly:
    """Puts a streamed answer together again: its text, why it ended, all its tokens where they were told."""

    def __init__(self) -> None:
        self._splitter = EventSplitter()
        self._parts: list[str] = []
        self._is_done = False
        self.finish_reason: str | None = None
        self.tokens: int | None = None

    @property
    def text(self) -> str:
        """What was said so far."""
        return "".join(self._parts)

    def feed(self, piece: bytes) -> None:
        """Another piece of the stream; raises the error that a stream ends with."""
        for event in self._splitter.feed(piece):
            if is_done(event):
                self._is_done = True
            elif not is_comment(event):
                self._hear(content_of(event))

    def ended(self) -> None:
        """The stream is over; BadPeer if something is missing."""
        if not self._is_done:
            raise BadPeer("The answer broke off in the middle.")

    def _hear(self, chunk: dict[str, Any]) -> None:
        if "code" in chunk and "detail" in chunk:
            raise error_from_answer(0, {}, json.dumps(chunk).encode())
        for choice in chunk.get("choices") or ():
            text = (choice.get("delta") or {}).get("content")
            if choice.get("index", 0) == 0 and isinstance(text, str):
                self._parts.append(text)
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
        usage = chunk.get("usage")
        if isinstance(usage, dict) and isinstance(total := usage.get("total_tokens"), int):
            self.tokens = total
