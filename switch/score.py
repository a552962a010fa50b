"""One explainable score of who should answer: a weighted sum of six terms from 0 to 1. Pure.

    success   how often it answered lately
    latency   how soon its answer is expected: 1 at once, 0.5 after ten seconds
    cost      what the answer will cost: 1 for nothing, 0.5 for a cent (0.01 of the currency)
    quota     how much of its budget is left
    fluzo     how well its kind suits the machine's profile: what is computed here costs a busy machine most
    mode      whether the expected time fits the time budget of the engine mode

Each term is monotone in what it measures, so of two engines that differ in one thing the better one wins.
"""

from __future__ import annotations

from dataclasses import dataclass

from switch.fluzo import Profile
from switch.modes import BUDGET_SEC, Mode
from switch.offers import Kind

WEIGHTS = {"success": 0.30, "latency": 0.20, "cost": 0.15, "quota": 0.10, "fluzo": 0.10, "mode": 0.15}
_HALF_LATENCY_SEC = 10.0
_HALF_COST = 0.01
_UNKNOWN_SEC: dict[Kind, float] = {"local": 4.0, "endpoint": 4.0, "program": 12.0}
_SUITS: dict[Profile, dict[Kind, float]] = {
    Profile.PERFORMANCE: {"local": 1.0, "endpoint": 0.5, "program": 0.5},
    Profile.BALANCED: {"local": 0.7, "endpoint": 0.7, "program": 0.6},
    Profile.LOW_POWER: {"local": 0.3, "endpoint": 1.0, "program": 0.7},
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an engine: `latency_sec` None if it never answered, `cost` of this request, `quota` left."""

    kind: Kind
    success: float
    latency_sec: float | None
    start_sec: float
    cost: float
    quota: float

    @property
    def expected_sec(self) -> float:
        """Seconds until its answer is expected to be whole."""
        known = self.latency_sec if self.latency_sec is not None else _UNKNOWN_SEC[self.kind]
        return known + self.start_sec


@dataclass(frozen=True, slots=True)
class Conditions:
    """How the machine is."""

    mode: Mode
    profile: Profile


@dataclass(frozen=True, slots=True)
class Score:
    """The sum, and the terms it is the weighted sum of."""

    total: float
    terms: dict[str, float]


def score(facts: Facts, conditions: Conditions) -> Score:
    """How well an engine suits one request now, 0 to 1."""
    expected, budget = facts.expected_sec, BUDGET_SEC[conditions.mode]
    terms = {
        "success": facts.success,
        "latency": _HALF_LATENCY_SEC / (_HALF_LATENCY_SEC + expected),
        "cost": _HALF_COST / (_HALF_COST + facts.cost),
        "quota": facts.quota,
        "fluzo": _SUITS[conditions.profile][facts.kind],
        "mode": 1.0 if expected <= budget else budget / expected,
    }
    total = sum(WEIGHTS[name] * value for name, value in terms.items())
    return Score(round(total, 6), {name: round(value, 6) for name, value in terms.items()})
