"""Answer bodies and stream events, shaped as OpenAI's clients expect them.

What is the same in every event of a stream is rendered once; a token costs one `json.dumps` of its text.
`timings` is llama.cpp's addition: what was computed and how fast; `vx11` is ours: what was done to the prompt.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from config.errors import VX11Error
from config.problems.outgoing import problem_body
from switch.worker.chances import Chance
from switch.worker.outlet import End
from switch.worker.sequence import Finish
from switch.worker.tool_reader import Argued, Called, Delta, Said

DONE = b"data: [DONE]\n\n"
_CUT = "\x00"

Kind = Literal["chat", "text"]


@dataclass(frozen=True, slots=True)
class Heading:
    """What all bodies of one answer begin with. `dropped_messages` are those that the prompt had no room for."""

    kind: Kind
    id: str
    created: int
    model: str
    dropped_messages: int = 0

    def members(self, *, chunk: bool) -> dict[str, Any]:
        """`id`, `object`, `created`, `model`."""
        name = ("chat.completion.chunk" if chunk else "chat.completion") if self.kind == "chat" else "text_completion"
        return {"id": self.id, "object": name, "created": self.created, "model": self.model}

    def notes(self) -> dict[str, Any]:
        """What a caller should know of the prompt; nothing where there is nothing to say."""
        return {"vx11": {"dropped_messages": self.dropped_messages}} if self.dropped_messages else {}


@dataclass(slots=True)
class Choice:
    """One answer as it grows."""

    texts: list[str] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    chances: list[Chance] = field(default_factory=list)
    end: End | None = None

    def add(self, delta: Delta) -> None:
        """Take text, the beginning of a call, or more of its arguments."""
        if isinstance(delta, Said):
            self.texts.append(delta.text)
        elif isinstance(delta, Called):
            function = {"name": delta.name, "arguments": ""}
            self.calls.append({"id": delta.id, "type": "function", "function": function})
        else:
            self.calls[delta.at]["function"]["arguments"] += delta.arguments

    def body(self, kind: Kind, index: int, end: End, *, with_chances: bool) -> dict[str, Any]:
        """The member of `choices`."""
        text = "".join(self.texts)
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if self.calls:
            message.update(content=text or None, tool_calls=self.calls)
        said = {"text": text} if kind == "text" else {"message": message}
        chances = logprobs(kind, self.chances) if with_chances else None
        # The reason comes last: Switch reads it off the end of what passes by.
        return {"index": index, **said, "logprobs": chances, "finish_reason": finish_reason(end, calls=len(self.calls))}


def finish_reason(end: End, *, calls: int) -> str:
    """Why it ended; an answer that ends by itself after calls ends for them."""
    return (Finish.TOOL_CALLS if calls and end.finish is Finish.STOP else end.finish).value


def whole(heading: Heading, choices: Sequence[Choice], *, with_chances: bool = False) -> bytes:
    """The body of an answer that is not streamed; each choice has its end."""
    ends = [choice.end for choice in choices if choice.end is not None]
    bodies = [
        choice.body(heading.kind, index, end, with_chances=with_chances)
        for index, (choice, end) in enumerate(zip(choices, ends, strict=True))
    ]
    body = {**heading.members(chunk=False), "choices": bodies, "usage": usage(ends), "timings": timings(ends)}
    return json.dumps({**body, **heading.notes()}, ensure_ascii=False).encode("utf-8", "replace")


class Events:
    """The server-sent events of one choice of a streamed answer."""

    __slots__ = ("_after", "_before", "_heading", "_index")

    def __init__(self, heading: Heading, index: int = 0) -> None:
        self._heading = heading
        self._index = index
        template = self._choice({"content": _CUT} if heading.kind == "chat" else _CUT)
        self._before, self._after = template.split(json.dumps(_CUT).encode())

    def opening(self) -> bytes:
        """The event that says who speaks; a text completion has none but for what is to be noted."""
        if self._heading.kind == "text":
            return b""
        return self._choice({"role": "assistant", "content": ""}, **self._heading.notes())

    def text(self, text: str, chances: Sequence[Chance] = ()) -> bytes:
        """The event for more text."""
        if not chances:
            return self._before + json.dumps(text).encode() + self._after
        said = {"content": text} if self._heading.kind == "chat" else text
        return self._choice(said, chances=chances)

    def delta(self, delta: Delta) -> bytes:
        """The event for a part of an answer that may hold calls."""
        if isinstance(delta, Said):
            return self.text(delta.text)
        if isinstance(delta, Argued):
            return self._choice({"tool_calls": [{"index": delta.at, "function": {"arguments": delta.arguments}}]})
        function = {"name": delta.name, "arguments": ""}
        call = {"index": delta.at, "id": delta.id, "type": "function", "function": function}
        return self._choice({"tool_calls": [call]})

    def closing(self, end: End, *, calls: int = 0, all_ends: Sequence[End] = ()) -> bytes:
        """The event that says why the choice ended; the last of several, which knows `all_ends`, has the timings."""
        said: Any = {} if self._heading.kind == "chat" else ""
        counted: dict[str, Any] = {"timings": timings(all_ends)} if all_ends else {}
        return self._choice(said, finish=finish_reason(end, calls=calls), **counted)

    def _choice(self, said: Any, *, chances: Sequence[Chance] = (), finish: str | None = None, **members: Any) -> bytes:
        told = logprobs(self._heading.kind, chances) if chances else None
        name = "delta" if self._heading.kind == "chat" else "text"
        choice = {"index": self._index, name: said, "logprobs": told, "finish_reason": finish}
        return event({**self._heading.members(chunk=True), "choices": [choice], **members})


def last_events(heading: Heading, ends: Sequence[End], *, include_usage: bool) -> bytes:
    """What follows the last choice: what was counted, when asked for, and the mark of the end."""
    if not include_usage:
        return DONE
    return event({**heading.members(chunk=True), "choices": [], "usage": usage(ends)}) + DONE


def event(body: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def failure(error: VX11Error) -> bytes:
    """The event that ends a stream which cannot go on; no end mark follows it."""
    return event({"error": problem_body(error, openai=True)["error"]})


def logprobs(kind: Kind, chances: Sequence[Chance]) -> dict[str, Any]:
    """OpenAI's `logprobs` of a choice: a list of tokens for a chat, lists side by side for a text."""
    if kind == "chat":
        return {"content": [_told(chance) for chance in chances], "refusal": None}
    tokens = [_text(chance.piece) for chance in chances]
    return {
        "tokens": tokens,
        "token_logprobs": [chance.logprob for chance in chances],
        "top_logprobs": [{_text(piece): its for piece, its in chance.likeliest} for chance in chances],
        "text_offset": [sum(map(len, tokens[:place])) for place in range(len(tokens))],
    }


def _told(chance: Chance) -> dict[str, Any]:
    likeliest = [{"token": _text(piece), "logprob": its, "bytes": list(piece)} for piece, its in chance.likeliest]
    own = {"token": _text(chance.piece), "logprob": chance.logprob, "bytes": list(chance.piece)}
    return {**own, "top_logprobs": likeliest}


def _text(piece: bytes) -> str:
    return piece.decode("utf-8", "replace")


def usage(ends: Sequence[End]) -> dict[str, Any]:
    """OpenAI's counts. Several choices share one prompt."""
    prompt, completion = ends[0].prompt_tokens, sum(end.completion_tokens for end in ends)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": ends[0].cached_tokens},
    }


def timings(ends: Sequence[End]) -> dict[str, float]:
    """Milliseconds and rates of all choices together, which share one prompt.

    The first token of an answer belongs to the prompt's time, what was reused of the prompt to nobody's.
    """
    first, seconds = ends[0], max(end.decode_seconds for end in ends)
    evaluated, predicted = first.prompt_tokens - first.cached_tokens, sum(end.completion_tokens for end in ends)
    return {
        "cache_n": first.cached_tokens,
        "prompt_n": evaluated,
        "prompt_ms": round(first.prompt_seconds * 1000, 3),
        "prompt_per_second": round(_rate(evaluated, first.prompt_seconds), 2),
        "predicted_n": predicted,
        "predicted_ms": round(seconds * 1000, 3),
        "predicted_per_second": round(_rate(predicted - len(ends), seconds), 2),
    }


def _rate(tokens: int, seconds: float) -> float:
    return tokens / seconds if seconds > 0 else 0.0
