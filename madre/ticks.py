"""A tick of autonomy as it is kept and shown: one row, one event for those who follow, one item of a list. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from config.contracts import autonomy as wire
from config.contracts.autonomy import AutonomyMode
from madre import autonomy
from madre.autonomy import Decision, Picture

_MOST_IN_AN_EVENT = 8
_LONGEST_WHY = 160
_MOST_PLANS = 50


@dataclass(frozen=True, slots=True)
class Tick:
    """One tick; lists hold plain JSON values."""

    at: datetime
    mode: AutonomyMode
    started_by: str
    inputs: Mapping[str, str]
    observed: Mapping[str, Any]
    findings: Sequence[Mapping[str, Any]]
    decisions: Sequence[Mapping[str, Any]]
    delegated: Sequence[str]
    outcome: str
    note: str
    elapsed_ms: float
    id: int = 0


def tick(
    at: datetime,
    mode: AutonomyMode,
    started_by: str,
    picture: Picture,
    decisions: Sequence[Decision],
    elapsed_ms: float,
) -> Tick:
    """What a whole tick leaves. The picture itself is kept where something came of it; else its digests are enough."""
    outcome = autonomy.outcome(decisions)
    return Tick(
        at=at,
        mode=mode,
        started_by=started_by,
        inputs=autonomy.digests(picture),
        observed=_kept(picture) if outcome not in ("quiet", "held_back") else {},
        findings=[_finding(decision) for decision in decisions],
        decisions=[_decision(decision) for decision in decisions],
        delegated=_delegated(decisions),
        outcome=outcome,
        note=note_of(decisions, mode),
        elapsed_ms=round(elapsed_ms, 3),
    )


def broken(
    at: datetime, mode: AutonomyMode, started_by: str, decisions: Sequence[Decision], why: str, elapsed_ms: float
) -> Tick:
    """What a tick leaves that came to no end: the decisions that it had come to, the last one perhaps cut short."""
    return Tick(
        at=at,
        mode=mode,
        started_by=started_by,
        inputs={},
        observed={},
        findings=[_finding(decision) for decision in decisions],
        decisions=[_decision(decision) for decision in decisions],
        delegated=_delegated(decisions),
        outcome="failed",
        note=why,
        elapsed_ms=round(elapsed_ms, 3),
    )


def note_of(decisions: Sequence[Decision], mode: AutonomyMode) -> str:
    """The tick in a sentence."""
    if not decisions:
        return "nothing to do"
    said = ", ".join(f"{one.finding.rule} ({one.finding.subject}): {one.verdict}" for one in decisions)
    return f"{mode}: {said}"[:2000]


def told(kept: Tick) -> dict[str, Any]:
    """The tick as `madre.decision.explained`, small enough for an event."""
    decisions = [
        {key: one[key] for key in ("rule", "subject", "action", "verdict", "plan_id")}
        | {"why": str(one["why"])[:_LONGEST_WHY], "subject": str(one["subject"])[:64]}
        for one in kept.decisions[:_MOST_IN_AN_EVENT]
    ]
    more = max(0, len(kept.decisions) - _MOST_IN_AN_EVENT)
    return {"mode": kept.mode, "outcome": kept.outcome, "decisions": decisions, "more": more}


def shown(kept: Tick) -> wire.Tick:
    """The tick as the wire shows it."""
    return wire.Tick(
        id=kept.id,
        at=kept.at,
        mode=kept.mode,
        started_by=kept.started_by,
        inputs=dict(kept.inputs),
        findings=[wire.Finding.model_validate(one) for one in kept.findings],
        decisions=[wire.Decision.model_validate(one) for one in kept.decisions],
        outcome=kept.outcome,
        note=kept.note,
        elapsed_ms=kept.elapsed_ms,
    )


def _kept(picture: Picture) -> dict[str, Any]:
    plain = autonomy.as_json(picture)
    return plain | {"plans": plain["plans"][:_MOST_PLANS]}


def _delegated(decisions: Sequence[Decision]) -> list[str]:
    return [decision.plan_id for decision in decisions if decision.verdict == "delegated" and decision.plan_id]


def _finding(decision: Decision) -> dict[str, Any]:
    found = decision.finding
    return {
        "rule": found.rule,
        "subject": found.subject,
        "severity": found.severity,
        "evidence": dict(found.evidence),
    }


def _decision(decision: Decision) -> dict[str, Any]:
    found = decision.finding
    return {
        "rule": found.rule,
        "subject": found.subject,
        "action": found.action,
        "arguments": dict(found.arguments),
        "risk": decision.risk,
        "verdict": decision.verdict,
        "why": decision.why,
        "plan_id": decision.plan_id,
    }
