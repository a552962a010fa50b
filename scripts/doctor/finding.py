"""One thing the doctor looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "failure"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and, where it is not well, the act that mends it."""

    subject: str
    state: State
    words: str
    remedy: str = ""

    @property
    def good(self) -> bool:
        """Nothing to say about it."""
        return self.state == "ok"

    @property
    def fatal(self) -> bool:
        """VX11 cannot run like this."""
        return self.state == "failure"


def ok(subject: str, words: str) -> Finding:
    """All is well with `subject`."""
    return Finding(subject, "ok", words)


def warning(subject: str, words: str, remedy: str = "") -> Finding:
    """VX11 runs, but not as it could."""
    return Finding(subject, "warning", words, remedy)


def failure(subject: str, words: str, remedy: str) -> Finding:
    """VX11 cannot run until `remedy` is done."""
    return Finding(subject, "failure", words, remedy)
