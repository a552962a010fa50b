"""One answer on its way to a client: what may still be taken back, and what is told once it may not. Pure.

Until something was given to the client, an error is a plain error and another engine may be asked. A stream that waits
for longer than two seconds begins early, with comments that tell its place (`: vx11 {…}`): proxies and people see that
it lives. From then on errors are told as the stream's last event.
"""

from __future__ import annotations

import json

from config.errors import VX11Error
from config.problems.outgoing import problem_event
from config.streaming import CutOff, Head, Pairs
from switch.waiting import Waiting

TELL_AFTER_SEC = 2.0
_EVENTS = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"))
_LONGEST_HEADER = 400

Given = list[Head | bytes]


class Delivery:
    """Turns what a provider gives into what the client gets. `headers` go with the head; `streams`: as was asked for;
    `began` in monotonic seconds; `tells`: whether waiting is told."""

    def __init__(self, headers: Pairs, began: float, *, streams: bool, tells: bool = True) -> None:
        self._headers = headers
        self._began = began
        self._tells = streams and tells
        self._streams = False
        self._early = False
        self._refusal: bytearray | None = None
        self.begun = False

    def waiting(self, waiting: Waiting, now: float) -> Given:
        """The order waits."""
        if not self._tells or now - self._began < TELL_AFTER_SEC:
            return []
        comment = b": vx11 " + json.dumps(waiting.shown()).encode() + b"\n\n"
        if self._early:
            return [comment]
        self._early = self._streams = self.begun = True
        return [Head(200, _EVENTS + self._headers), comment]

    def head(self, head: Head) -> Given:
        """The answer begins."""
        if self._early:
            self._refusal = bytearray() if head.status >= 400 else None
            return []
        self.begun = True
        self._streams = dict(head.headers).get(b"content-type", b"").startswith(b"text/event-stream")
        return [Head(head.status, head.headers + self._headers)]

    def piece(self, piece: bytes) -> Given:
        """The answer goes on."""
        if self._refusal is None:
            return [piece]
        self._refusal += piece
        return []

    def ended(self) -> Given:
        """The answer is whole."""
        if self._refusal is None:
            return []
        return [b"data: " + bytes(self._refusal).replace(b"\n", b" ") + b"\n\n"]

    def failed(self, error: VX11Error) -> Given:
        """There will be no answer, or no more of it: the last words. Raises where none can be said in the answer."""
        if not self.begun:
            raise error
        if not self._streams:
            raise CutOff from error
        return [problem_event(error)]


def headers_of(provider: str, model: str, decision: str) -> Pairs:
    """Who answers and why, as headers; what a header cannot hold is escaped."""
    values = (b"x-vx11-provider", provider), (b"x-vx11-model", model), (b"x-vx11-decision", decision)
    return tuple((name, _header(value)) for name, value in values)


def _header(text: str) -> bytes:
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return printable.encode("ascii", "backslashreplace")[:_LONGEST_HEADER].strip()
