"""How many threads a worker gets.

Two spinning threads on two cores fall off a cliff when anything else runs (10 to 40 times slower, measured
in the research notes), so decoding leaves one core to the rest of the chain, and prompts, which compute
much and wait little, take all cores. Choosing from measured pressure comes with fair admission.
"""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Threads:
    """Threads for generating (`decode`) and for reading prompts (`prompt`)."""

    decode: int
    prompt: int


def threads_for(decode: int | None, prompt: int | None, cores: int | None = None) -> Threads:
    """The configured numbers, or what `cores` (default: those this process may use) suggest."""
    available = cores or len(os.sched_getaffinity(0))
    return Threads(decode or max(1, available - 1), prompt or available)
