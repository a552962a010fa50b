"""What one request cost, read off the bytes that pass by. Pure.

An answer ends with `usage` (OpenAI's names) or `timings` (llama.cpp's: `prompt_n`, `cache_n`, `predicted_n`) and a
finish reason, streamed or not, so only the answer's tail is kept and looked at once, when it is over.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TAIL_BYTES = 4096
_PROMPT = re.compile(rb'"prompt_n":\s*(\d+)')
_REUSED = re.compile(rb'"cache_n":\s*(\d+)')
_ANSWER = re.compile(rb'"predicted_n":\s*(\d+)')
_USAGE_PROMPT = re.compile(rb'"prompt_tokens":\s*(\d+)')
_USAGE_ANSWER = re.compile(rb'"completion_tokens":\s*(\d+)')
_FINISH = re.compile(rb'"finish_reason":\s*"(\w+)"')
_FAILURE = re.compile(rb'^data: \{"error": .*"code": "(\w+)"', re.MULTILINE)  # a stream the worker could not go on with
_EVENT_STREAM = b"text/event-stream"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider told them, where what passes by does not hold them."""

    prompt_tokens: int | None
    completion_tokens: int | None


class Account:
    """Watches one answer; times are monotonic seconds."""

    def __init__(self, began: float) -> None:
        self.began = began
        self.pieces_bytes = 0
        self._first: float | None = None
        self._tail = b""
        self.status: int | None = None
        self.streams = False
        self.is_whole = False
        self.usage: Usage | None = None
        self.broke: str | None = None

    def begins(self, status: int, content_type: bytes) -> None:
        """The head of the answer went by."""
        self.status, self.streams = status, content_type.startswith(_EVENT_STREAM)

    def piece(self, piece: bytes, now: float) -> None:
        """Another piece of the answer went by."""
        if self._first is None:
            self._first = now
        self.pieces_bytes += len(piece)
        self._tail = (self._tail + piece[-_TAIL_BYTES:])[-_TAIL_BYTES:]

    def ended(self) -> None:
        """The answer went by to its end."""
        self.is_whole = True

    @property
    def outcome(self) -> str:
        """`ok`, `refused` (an error status), `cancelled` (the client went), or the code of what broke."""
        if self.broke is not None:
            return self.broke
        if self.status is not None and self.status >= 400:
            return "refused"
        failures = _FAILURE.findall(self._tail) if self.streams else []
        if failures:
            return str(failures[-1].decode())
        return "ok" if self.is_whole or self.finish_reason else "cancelled"

    @property
    def ttft_ms(self) -> float | None:
        """Milliseconds from the request's arrival to the first piece of its answer."""
        return None if self._first is None else round((self._first - self.began) * 1000, 3)

    def latency_ms(self, now: float) -> float:
        """Milliseconds from the request's arrival to `now`."""
        return round((now - self.began) * 1000, 3)

    @property
    def prompt_tokens(self) -> int | None:
        """Tokens of the prompt; None when the answer did not come to its end."""
        told = self.usage.prompt_tokens if self.usage else self._number(_USAGE_PROMPT)
        evaluated = self._number(_PROMPT)
        if told is not None or evaluated is None:
            return told
        return evaluated + (self._number(_REUSED) or 0)

    @property
    def completion_tokens(self) -> int | None:
        """Tokens of the answer; None when it did not come to its end."""
        return self.usage.completion_tokens if self.usage else self._number(_USAGE_ANSWER, _ANSWER)

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended, in OpenAI's words."""
        found = _FINISH.findall(self._tail)
        return found[-1].decode() if found else None

    def _number(self, *patterns: re.Pattern[bytes]) -> int | None:
        """The last number that the first pattern finds, else the next one."""
        return next((int(found[-1]) for pattern in patterns if (found := pattern.findall(self._tail))), None)
