"""Counts and rates of one worker, for `/health`. Written by the engine's thread, read by any."""

from __future__ import annotations

from dataclasses import dataclass

_WEIGHT = 0.2  # of the newest step in a rate: about the last ten steps count


@dataclass(slots=True)
class Rate:
    """Tokens a second over the last steps; 0 until something was measured."""

    per_second: float = 0.0

    def add(self, tokens: int, seconds: float) -> None:
        """Count one step."""
        now = tokens / max(seconds, 1e-6)
        self.per_second = now if self.per_second == 0 else self.per_second + _WEIGHT * (now - self.per_second)


class Meter:
    """What the worker has done since it started."""

    def __init__(self) -> None:
        self.requests = 0
        self.cancelled = 0
        self.failed = 0
        self.put_back = 0
        self.steps = 0
        self.prompt_tokens = 0
        self.generated_tokens = 0
        self.prompt_rate = Rate()
        self.decode_rate = Rate()

    def step(self, *, prompt: int, decoding: int, drawn: int, seconds: float) -> None:
        """Count one batch of `prompt` prompt tokens and `decoding` tokens of running answers; it drew `drawn` new ones.

        A mixed batch counts for neither rate: nobody can say whose the time was.
        """
        self.steps += 1
        self.prompt_tokens += prompt
        self.generated_tokens += drawn
        if not decoding:
            self.prompt_rate.add(prompt, seconds)
        elif not prompt:
            self.decode_rate.add(decoding, seconds)
