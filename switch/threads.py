"""How many threads a worker may use at most: what is set, or one for each core that it may use.

How many it does use, it decides step by step from what the machine gives (`switch/worker/pressure.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from config.cores import usable_cores


@dataclass(frozen=True, slots=True)
class Threads:
    """Threads for generating (`decode`) and for reading prompts (`prompt`)."""

    decode: int
    prompt: int


def threads_for(decode: int | None, prompt: int | None, cores: int | None = None) -> Threads:
    """The configured numbers, or one for each of `cores` (default: those this process may use)."""
    available = cores or usable_cores()
    return Threads(decode or available, prompt or available)
