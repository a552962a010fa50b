"""What an analyzer says about a step: how risky it holds it to be, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from config.contracts.plans import Risk
from madre.actions import Action
from madre.lanes import Lane
from madre.world import World


def words(text: str) -> frozenset[str]:
    """The words of `text`, for tables of names."""
    return frozenset(text.split())


@dataclass(frozen=True, slots=True)
class Finding:
    """A risk, and the reason in words that a person weighs a confirmation by."""

    risk: Risk
    reason: str


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a model holds of a plan; `risk` is None where it was asked and said nothing usable."""

    risk: Risk | None
    reason: str


@dataclass(frozen=True, slots=True)
class Deed:
    """One step as it is judged, with the world it would happen in.

    `user` is who asks; `heard` how sure the reading of the sentence was (1 where the action was named outright), `said`
    the least risk that the words themselves allow; `steps` is how many the plan has.
    """

    action: Action
    arguments: Mapping[str, Any]
    lane: Lane | None
    world: World
    user: str
    heard: float
    said: Risk
    steps: int
    opinion: Opinion | None = None
