"""Finds tool calls in what a model says, while it says it. Pure.

What comes in is text in pieces of any length; what goes out is text to show, the beginning of a call as soon as its
name is known, and its arguments as they grow. The result does not depend on how the text was cut. What turns out to
be no call is shown as it was said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from switch.worker.tool_format import Format

_MARKS = {Format.HERMES: "<tool_call>", Format.MISTRAL: "[TOOL_CALLS]"}
_PYTHON_TAG = "<|python_tag|>"
_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)')
_ENVELOPE = re.compile(r'\s*\{\s*"(tool_calls|response)"\s*:\s*(?=\S)')
_LONGEST_ENVELOPE = 64
# Whole escapes only; a surrogate waits for what may be its other half.
_UNESCAPED = re.compile(
    r'(?:[^"\\]|\\[^u]|\\u(?![dD][89abAB])[0-9a-fA-F]{4}|\\u[dD][89abAB][0-9a-fA-F]{2}(?:\\u[0-9a-fA-F]{4}|(?=[^\\]|\\[^u])))*',
    re.DOTALL,
)


class Said(NamedTuple):
    """Text to show."""

    text: str


class Called(NamedTuple):
    """A call begins; `at` is its place among the calls of the answer."""

    at: int
    id: str
    name: str


class Argued(NamedTuple):
    """More of a call's arguments, as JSON text."""

    at: int
    arguments: str


Delta = Said | Called | Argued


class _Span:
    """Follows one JSON value that begins with a bracket or a quote, and knows where it ends."""

    __slots__ = ("_depth", "_escaped", "_quoted", "over")

    def __init__(self, depth: int = 0) -> None:
        self._depth = depth
        self._quoted = self._escaped = False
        self.over = False

    def take(self, text: str) -> int:
        """How many characters of `text` belong to the value."""
        for index, character in enumerate(text):
            self._step(character)
            if not self._depth and not self._quoted:
                self.over = True
                return index + 1
        return len(text)

    def _step(self, character: str) -> None:
        if self._escaped:
            self._escaped = False
        elif self._quoted:
            self._escaped = character == "\\"
            self._quoted = character != '"'
        elif character == '"':
            self._quoted = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1


class CallReader:
    """Reads one answer. `new_id` names the calls."""

    def __init__(self, form: Format, new_id: Callable[[], str]) -> None:
        self.calls = 0
        self._form = form
        self._new_id = new_id
        self._rest = ""
        self._mark = ""
        self._span = _Span()
        self._seen = 0
        opening = {Format.GENERIC: self._envelope, Format.LLAMA: self._perhaps}
        self._state: Callable[[], Iterator[Delta]] = opening.get(form, self._text)
        self._moved = True

    def feed(self, text: str) -> list[Delta]:
        """Take more text."""
        self._rest += text
        deltas: list[Delta] = []
        self._moved = True
        while self._moved and self._rest:
            self._moved = False
            deltas += self._state()
        return deltas

    def finish(self) -> list[Delta]:
        """The answer is over: what could still have become a call is text."""
        unread = self._rest if self._state in (self._text, self._perhaps, self._head, self._envelope) else ""
        if self._state == self._head:
            unread = self._mark + unread
        self._rest = ""
        return [Said(unread)] if unread and not (self.calls and unread.isspace()) else []

    def _go(self, state: Callable[[], Iterator[Delta]], consumed: int) -> None:
        self._rest = self._rest[consumed:]
        self._state = state
        self._moved = True
        self._seen = 0

    def _text(self) -> Iterator[Delta]:
        """Text, up to the mark of a call."""
        mark = _MARKS.get(self._form, "")
        at = self._rest.find(mark) if mark else -1
        if at >= 0:
            if before := self._rest[:at].rstrip():
                yield Said(before)
            self._mark, self._span = mark, _Span()
            self._go(self._head, at + len(mark))
            return
        # A blank before a call is none of the answer's, so it waits to see what comes.
        held = max((n for n in range(1, len(mark)) if self._rest.endswith(mark[:n])), default=0)
        shown = self._rest[: len(self._rest) - held].rstrip() if mark else self._rest
        if shown:
            self._rest = self._rest[len(shown) :]
            yield Said(shown)

    def _perhaps(self) -> Iterator[Delta]:
        """The whole answer is a call, or none of it is."""
        begun = self._rest.lstrip()
        if begun.startswith(_PYTHON_TAG):
            begun = begun[len(_PYTHON_TAG) :].lstrip()
        if begun.startswith("{"):
            self._span = _Span()
            self._go(self._head, len(self._rest) - len(begun))
        elif begun and not _PYTHON_TAG.startswith(begun):
            self._go(self._text, 0)
        yield from ()

    def _envelope(self) -> Iterator[Delta]:
        """The generic format's outermost object."""
        found = _ENVELOPE.match(self._rest)
        if found is None:
            if len(self._rest) > _LONGEST_ENVELOPE:
                self._go(self._text, 0)
            return
        first, self._span = self._rest[found.end()], _Span()
        if found[1] == "tool_calls":
            self._go(self._between, found.end())
        elif first == '"':
            self._go(self._string, found.end() + 1)
        else:
            self._go(self._value if first in "{[" else self._scalar, found.end())
        yield from ()

    def _head(self) -> Iterator[Delta]:
        """A call up to its arguments; if its members come otherwise, the whole of it."""
        blank = len(self._rest) - len(self._rest.lstrip())
        if self._rest[blank : blank + 1] == "[":
            self._go(self._between, blank)
        elif found := _HEAD.match(self._rest):
            yield self._called(json.loads(found[1], strict=False))
            self._span = _Span()
            self._go(self._arguments, found.end())
        elif self._rest[blank : blank + 1] not in ("", "{"):
            yield Said(self._mark)
            self._go(self._text, 0)
        elif blank < len(self._rest):
            self._seen = max(self._seen, blank)
            self._seen += self._span.take(self._rest[self._seen :])
            if self._span.over:
                whole = self._rest[: self._seen]
                yield from self._whole(whole)
                self._go(self._between, len(whole))

    def _arguments(self) -> Iterator[Delta]:
        size = self._span.take(self._rest)
        yield Argued(self.calls - 1, self._rest[:size])
        if self._span.over:
            self._span = _Span(depth=1)
            self._go(self._tail, size)
        else:
            self._rest = ""

    def _tail(self) -> Iterator[Delta]:
        """What follows the arguments in the object of a call."""
        size = self._span.take(self._rest)
        self._go(self._between if self._span.over else self._tail, size)
        yield from ()

    def _between(self) -> Iterator[Delta]:
        """After a call: another, or the end of them."""
        rest = self._rest.lstrip(" \t\r\n,[;")
        if rest.startswith("{"):
            self._span = _Span()
            self._go(self._head, len(self._rest) - len(rest))
        elif rest.startswith("]"):
            self._go(self._over if self._form is Format.GENERIC else self._text, len(self._rest) - len(rest) + 1)
        elif rest.startswith("</tool_call>"):
            self._go(self._text, len(self._rest) - len(rest) + len("</tool_call>"))
        elif rest and not "</tool_call>".startswith(rest):
            self._go(self._text, 0)
        yield from ()

    def _string(self) -> Iterator[Delta]:
        """The response of the generic format, out of its quotes. An escape may be cut anywhere."""
        found = _UNESCAPED.match(self._rest)
        size = found.end() if found else 0
        if size:
            text = json.loads(f'"{self._rest[:size]}"', strict=False)
            yield Said(text.encode("utf-8", "replace").decode())  # half a surrogate pair is no text
        if self._rest[size : size + 1] == '"':
            self._go(self._over, size)
        else:
            self._rest = self._rest[size:]

    def _value(self) -> Iterator[Delta]:
        """The response of the generic format where it is an object or a list, as it stands."""
        size = self._span.take(self._rest)
        yield Said(self._rest[:size])
        if self._span.over:
            self._go(self._over, size)
        else:
            self._rest = ""

    def _scalar(self) -> Iterator[Delta]:
        found = re.match(r"[^\s}]*", self._rest)
        size = found.end() if found else 0
        if size:
            yield Said(self._rest[:size])
        if size < len(self._rest):
            self._go(self._over, size)
        else:
            self._rest = ""

    def _over(self) -> Iterator[Delta]:
        self._rest = ""
        yield from ()

    def _called(self, name: str) -> Called:
        self.calls += 1
        return Called(self.calls - 1, self._new_id(), name)

    def _whole(self, text: str) -> Iterator[Delta]:
        """A call that was read as a whole; text if it is none."""
        try:
            call = json.loads(text, strict=False)
        except (ValueError, RecursionError):
            call = {}
        name, arguments = call.get("name"), call.get("arguments", call.get("parameters", {}))
        if not isinstance(name, str):
            yield Said(text)
            return
        begun = self._called(name)
        yield begun
        yield Argued(begun.at, arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False))
