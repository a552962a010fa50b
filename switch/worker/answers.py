"""Answer bodies and stream events, shaped as OpenAI's clients expect them.

What is the same in every event of a stream is rendered once; a token costs one `json.dumps` of its text.
`timings` is llama.cpp's addition: what was computed and how fast.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from config.errors import VX11Error
from config.problems.outgoing import problem_body
from switch.worker.outlet import End

DONE = b"data: [DONE]\n\n"
_CUT = "\x00"

Kind = Literal["chat", "text"]


@dataclass(frozen=True, slots=True)
class Heading:
    """What all bodies of one answer begin with."""

    kind: Kind
    id: str
    created: int
    model: str

    def members(self, *, chunk: bool) -> dict[str, Any]:
        """`id`, `object`, `created`, `model`."""
        name = ("chat.completion.chunk" if chunk else "chat.completion") if self.kind == "chat" else "text_completion"
        return {"id": self.id, "object": name, "created": self.created, "model": self.model}


def whole(heading: Heading, text: str, end: End) -> bytes:
    """The body of an answer that is not streamed."""
    said = {"message": {"role": "assistant", "content": text}} if heading.kind == "chat" else {"text": text}
    choice = {"index": 0, **said, "logprobs": None, "finish_reason": end.finish.value}
    body = {**heading.members(chunk=False), "choices": [choice], "usage": usage(end), "timings": timings(end)}
    return json.dumps(body, ensure_ascii=False).encode()


class Events:
    """The server-sent events of one streamed answer."""

    __slots__ = ("_after", "_before", "_heading")

    def __init__(self, heading: Heading) -> None:
        self._heading = heading
        said = {"delta": {"content": _CUT}} if heading.kind == "chat" else {"text": _CUT}
        template = self._event({"choices": [{"index": 0, **said, "logprobs": None, "finish_reason": None}]})
        self._before, self._after = template.split(json.dumps(_CUT).encode())

    def opening(self) -> bytes:
        """The event that says who speaks; a text completion has none."""
        if self._heading.kind == "text":
            return b""
        delta = {"role": "assistant", "content": ""}
        return self._event({"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]})

    def text(self, text: str) -> bytes:
        """The event for more text."""
        return self._before + json.dumps(text).encode() + self._after

    def closing(self, end: End, *, include_usage: bool) -> bytes:
        """The events that say why it ended and, when asked for, what it counted; then the mark of the end."""
        said: dict[str, Any] = {"delta": {}} if self._heading.kind == "chat" else {"text": ""}
        last = {"index": 0, **said, "logprobs": None, "finish_reason": end.finish.value}
        events = self._event({"choices": [last], "timings": timings(end)})
        if include_usage:
            events += self._event({"choices": [], "usage": usage(end)})
        return events + DONE

    def _event(self, members: dict[str, Any]) -> bytes:
        body = {**self._heading.members(chunk=True), **members}
        return b"data: " + json.dumps(body).encode() + b"\n\n"


def failure(error: VX11Error) -> bytes:
    """The event that ends a stream which cannot go on; no end mark follows it."""
    return b"data: " + json.dumps({"error": problem_body(error, openai=True)["error"]}).encode() + b"\n\n"


def usage(end: End) -> dict[str, int]:
    """OpenAI's counts."""
    return {
        "prompt_tokens": end.prompt_tokens,
        "completion_tokens": end.completion_tokens,
        "total_tokens": end.prompt_tokens + end.completion_tokens,
    }


def timings(end: End) -> dict[str, float]:
    """Milliseconds and rates; the first token of the answer belongs to the prompt's time."""
    decoded = end.completion_tokens - 1
    return {
        "prompt_n": end.prompt_tokens,
        "prompt_ms": round(end.prompt_seconds * 1000, 3),
        "prompt_per_second": round(_rate(end.prompt_tokens, end.prompt_seconds), 2),
        "predicted_n": end.completion_tokens,
        "predicted_ms": round(end.decode_seconds * 1000, 3),
        "predicted_per_second": round(_rate(decoded, end.decode_seconds), 2),
    }


def _rate(tokens: int, seconds: float) -> float:
    return tokens / seconds if seconds > 0 else 0.0
