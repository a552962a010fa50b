"""What a request is told while it waits for its turn or for its model. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Waiting:
    """Place `place` of `of` in the queue, `seconds` until the turn as predicted; `progress` (0 to 1) of a load."""

    place: int
    of: int
    seconds: float | None
    state: Literal["queued", "loading"]
    progress: float | None

    def shown(self) -> dict[str, Any]:
        """As JSON says it."""
        return asdict(self)
