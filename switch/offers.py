"""What could answer: one model at one provider. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from switch.budgets import Prices
from switch.choose import ModelFile

Kind = Literal["local", "endpoint", "program"]
LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Offer:
    """A model at a provider. `tasks` are what it may be chosen for unnamed; `file` is there for local ones.

    `ready` says whether it could begin at once; `start_sec` is about how long it takes to get there.
    """

    provider: str
    model: str
    kind: Kind
    tasks: frozenset[str]
    prices: Prices | None = None
    file: ModelFile | None = None
    ready: bool = True
    start_sec: float = 0.0
    created: int = 0

    @property
    def engine(self) -> str:
        """Its name among all: `provider/model`."""
        return f"{self.provider}/{self.model}"
