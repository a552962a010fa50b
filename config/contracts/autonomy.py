"""Autonomy on the wire: whether madre looks after the fleet by herself, and what she did or would have done."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from config.contracts.base import Answer, Page, Request, Timestamp
from config.contracts.plans import Risk

AutonomyMode = Literal["off", "shadow", "active"]
Verdict = Literal[
    "delegated",
    "would_have_done",
    "told",
    "would_have_told",
    "already_planned",
    "cooling_down",
    "over_budget",
    "failed",
]


class AutonomyStart(Request):
    """Start the loop. In `shadow` it decides and acts on nothing; `acts_per_hour` lowers the budget of the settings."""

    shadow: bool = True
    acts_per_hour: Annotated[int, Field(ge=0, le=60)] | None = None
    reason: Annotated[str, Field(max_length=256)] = ""


class AutonomyStop(Request):
    """Stop the loop; what it has planned stays."""

    reason: Annotated[str, Field(max_length=256)] = ""


class Finding(Answer):
    """Something that a rule saw, about whom, and the facts it rests on."""

    rule: str
    subject: str
    severity: Literal["info", "warning", "error", "critical"]
    evidence: dict[str, Any]


class Decision(Answer):
    """What came of a finding: the act it calls for (null: a person is told), the verdict, and why."""

    rule: str
    subject: str
    action: str | None
    arguments: dict[str, Any]
    risk: Risk | None
    verdict: Verdict
    why: str
    plan_id: str | None = None


class Tick(Answer):
    """One tick: digests (SHA-256) of what it looked at, what it found and decided, and how long it took."""

    id: int
    at: Timestamp
    mode: AutonomyMode
    started_by: str
    inputs: dict[str, str]
    findings: list[Finding]
    decisions: list[Decision]
    outcome: str
    note: str
    elapsed_ms: float


class Budget(Answer):
    """Acts in the hour up to now, and how many are left of it; shadow's `would have done` counts as if done."""

    acts_per_hour: int
    used: int
    left: int


class Cooling(Answer):
    """A finding that is left alone for a while, because something was done about it."""

    rule: str
    subject: str
    until: Timestamp


class AutonomyState(Answer):
    """`GET /madre/autonomous`: whether it runs and how, its budget, and its ticks, newest first."""

    mode: AutonomyMode
    since: Timestamp | None
    started_by: str | None
    reason: str
    interval_sec: float
    last_tick_at: Timestamp | None
    budget: Budget
    cooling: list[Cooling]
    ticks: Page[Tick]
