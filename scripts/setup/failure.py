"""The one way a set-up step fails: in words, with the tool's own last lines beneath."""

from __future__ import annotations

from collections.abc import Sequence


class SetupFailed(Exception):
    """A step could not be finished. `sentence` says what and why, `remedy` what to do, `tail` what the tool said."""

    def __init__(self, sentence: str, *, remedy: str = "", tail: Sequence[str] = ()) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy
        self.tail = tuple(tail)
