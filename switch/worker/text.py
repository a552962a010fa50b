"""From the bytes of tokens to text that may be shown. Pure.

Two borders do not fall between tokens: a character may be spread over several tokens (an emoji is often
four), and so may a stop string. `TextStream` emits a character when it is whole and holds back what may
still become a stop string, so that no prefix of one is ever shown. What it emits does not depend on how
the bytes were cut.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence

_utf8_decoder = codecs.getincrementaldecoder("utf-8")


class StopMatcher:
    """Finds the first stop string to be completed in a stream of text.

    The match is the one that ends first; of several that end together, the longest.
    """

    __slots__ = ("_held", "_stops")

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""

    def feed(self, text: str) -> tuple[str, bool]:
        """Take the next text; return what may be shown now and whether a stop string was completed."""
        buffer = self._held + text
        cut = self._match(buffer)
        if cut is not None:
            self._held = ""
            return buffer[:cut], True
        keep = self._could_begin(buffer)
        self._held = buffer[len(buffer) - keep :]
        return buffer[: len(buffer) - keep], False

    @property
    def held(self) -> int:
        """How many characters are held back."""
        return len(self._held)

    def rest(self) -> str:
        """What was held back, now that nothing follows."""
        held, self._held = self._held, ""
        return held

    def _match(self, buffer: str) -> int | None:
        """Where the text before the first completed stop string ends, or None."""
        found = [(start + len(stop), start) for stop in self._stops if (start := buffer.find(stop)) >= 0]
        return min(found)[1] if found else None

    def _could_begin(self, buffer: str) -> int:
        """Length of the longest tail of `buffer` that is the beginning of a stop string."""
        return max((_overlap(buffer, stop) for stop in self._stops), default=0)


def _overlap(buffer: str, stop: str) -> int:
    """Length of the longest proper beginning of `stop` that `buffer` ends with."""
    for length in range(min(len(buffer), len(stop) - 1), 0, -1):
        if buffer.endswith(stop[:length]):
            return length
    return 0


class TextStream:
    """Turns the bytes of one answer into text that may be shown, token by token."""

    __slots__ = ("_decode", "_stops")

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._decode = _utf8_decoder(errors="replace").decode
        self._stops = StopMatcher(stops) if stops else None

    def feed(self, piece: bytes) -> tuple[str, bool]:
        """Take the bytes of one token; return what may be shown now and whether a stop string was completed."""
        text = self._decode(piece)
        return (text, False) if self._stops is None else self._stops.feed(text)

    @property
    def held(self) -> int:
        """How many characters are held back."""
        return 0 if self._stops is None else self._stops.held

    def rest(self) -> str:
        """What was held back for a stop string that did not come. Half a character at the end is no text: it goes."""
        return "" if self._stops is None else self._stops.rest()
