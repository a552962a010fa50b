"""A text to a `Reading`: the typed form if it is one, the grammar otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from madre.language.intent import Reading


def read(text: str, *, now: datetime, services: Sequence[str]) -> Reading:
    """What `text` asks for; `services` are the names that a sentence may say."""
    return Reading()
