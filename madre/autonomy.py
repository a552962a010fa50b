"""What madre would do by herself, and whether she may. Pure; the loop around it is `flows/autonomy.py`.

Five stages, one tick:

    observe    a picture of the fleet, plain values with the times since when they hold
    reason     rules over the picture: findings, each with the facts it rests on
    decide     a verdict on every finding: what is done about it, or what speaks against doing it now
    delegate   an act becomes a plan like anybody's, with the rights of whoever started the loop: LOW runs at once,
               anything riskier waits for a person
    report     one row: digests of what was looked at, findings, decisions, plans, time taken

Acts have a budget (so many an hour) and findings a cool-down (left alone for a while after something was done about
them). In shadow nothing is done: the same decisions are recorded as what would have been done, and they use up budget
and cool down just as if they had been, so a day in shadow shows a day.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from config.clock import rfc3339
from config.contracts.autonomy import Verdict
from config.contracts.events import Severity

COUNTED: frozenset[Verdict] = frozenset({"delegated", "would_have_done"})  # what uses up the budget
SETTLED: frozenset[Verdict] = COUNTED | {"told", "would_have_told", "failed"}  # what a finding cools down after
BUDGET_SPAN = timedelta(hours=1)
TOLD_AGAIN = timedelta(hours=4)  # a person who was told is not told again every quarter of an hour
REMEMBERED = max(BUDGET_SPAN, TOLD_AGAIN)  # how far back decisions matter, unless the cool-down is longer
_GRAVEST_FIRST: tuple[Severity, ...] = ("critical", "error", "warning", "info")

CRASHES_AN_HOUR = 3
IDLE_HOLD = timedelta(minutes=30)
WAITS_LONG = timedelta(hours=1)
CHECK_EVERY = timedelta(hours=24)
MAINTAIN_EVERY = timedelta(days=7)
LOW_DISK_MB = 1024


@dataclass(frozen=True, slots=True)
class ServiceSeen:
    """One service: its state and since when, whether it kept failing, crashes in the last hour."""

    name: str
    state: str
    since: datetime
    hopeless: bool
    crashes: int


@dataclass(frozen=True, slots=True)
class WindowSeen:
    """One live window; `idle_since` is when its services were last seen without a request, null while they serve."""

    window_id: str
    services: tuple[str, ...]
    mode: str
    opened_by: str
    idle_since: datetime | None


@dataclass(frozen=True, slots=True)
class PlanSeen:
    """One plan that is not over; `about` is the finding (rule, subject) that it was made for, if it was."""

    plan_id: str
    user: str
    status: str
    created_at: datetime
    about: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Upkeep:
    """When the house was last looked after (null: never), and since when there is a house."""

    since: datetime
    checked_at: datetime | None
    verified_at: datetime | None
    maintained_at: datetime | None


@dataclass(frozen=True, slots=True)
class Picture:
    """What one tick looks at."""

    services: tuple[ServiceSeen, ...]
    windows: tuple[WindowSeen, ...]
    plans: tuple[PlanSeen, ...]
    upkeep: Upkeep
    free_mb: int
    is_blind: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule saw: about whom, how grave, on what facts; `action` is what it calls for, null: a person is told."""

    rule: str
    subject: str
    severity: Severity
    evidence: Mapping[str, Any]
    action: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to come, or came, of a finding, and why."""

    finding: Finding
    verdict: Verdict
    why: str
    plan_id: str | None = None
    risk: str | None = None


@dataclass(frozen=True, slots=True)
class Past:
    """A decision of an earlier tick in the same mode."""

    at: datetime
    rule: str
    subject: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Limits:
    """What the loop may do: whether it acts at all, acts an hour, how long a finding is left alone afterwards, and
    the actions that whoever started it has no right to."""

    shadow: bool
    acts_per_hour: int
    cooldown: timedelta
    barred: frozenset[str] = frozenset()


def digests(picture: Picture) -> dict[str, str]:
    """SHA-256 of each part of the picture as canonical JSON: the same state has the same digest, tick after tick."""
    return {part: _digest(value) for part, value in as_json(picture).items()}


def as_json(picture: Picture) -> dict[str, Any]:
    """The picture as plain JSON values."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(picture), default=_plain))
    return plain


def reason(picture: Picture, now: datetime) -> tuple[Finding, ...]:
    """Everything the rules find, gravest first; the same picture always in the same order."""
    found = [finding for rule in _RULES for finding in rule(picture, now)]
    return tuple(sorted(found, key=lambda one: (_GRAVEST_FIRST.index(one.severity), one.rule, one.subject)))


def decide(
    findings: Iterable[Finding], past: Sequence[Past], plans: Iterable[PlanSeen], limits: Limits, now: datetime
) -> tuple[Decision, ...]:
    """A verdict on each finding, in its order; each act takes its part of what is left of the budget."""
    left = budget_left(past, limits, now)
    planned = {plan.about: plan.plan_id for plan in plans if plan.about}
    resting = cooling(past, limits, now)
    decisions = []
    for finding in findings:
        about = (finding.rule, finding.subject)
        decision = _decided(finding, planned.get(about), resting.get(about), limits, left)
        left -= decision.verdict in COUNTED
        decisions.append(decision)
    return tuple(decisions)


def budget_left(past: Iterable[Past], limits: Limits, now: datetime) -> int:
    """How many acts are left of the hour up to now."""
    used = sum(1 for one in past if one.verdict in COUNTED and now - one.at < BUDGET_SPAN)
    return max(0, limits.acts_per_hour - used)


def cooling(past: Iterable[Past], limits: Limits, now: datetime) -> dict[tuple[str, str], datetime]:
    """Until when each finding (rule, subject) is left alone."""
    until: dict[tuple[str, str], datetime] = {}
    for one in past:
        told = one.verdict in ("told", "would_have_told")
        ends = one.at + (max(limits.cooldown, TOLD_AGAIN) if told else limits.cooldown)
        if one.verdict in SETTLED and ends > now:
            until[one.rule, one.subject] = max(ends, until.get((one.rule, one.subject), ends))
    return until


def outcome(decisions: Sequence[Decision]) -> str:
    """The tick in a word: the most that came of any finding."""
    verdicts = {decision.verdict for decision in decisions}
    for verdict, word in _OUTCOMES.items():
        if verdict in verdicts:
            return word
    return "held_back" if decisions else "quiet"


_OUTCOMES: dict[Verdict, str] = {
    "failed": "failed",
    "delegated": "acted",
    "would_have_done": "would_have_acted",
    "told": "told",
    "would_have_told": "would_have_told",
}


def _decided(
    finding: Finding, planned: str | None, rests_until: datetime | None, limits: Limits, left: int
) -> Decision:
    if planned:
        return Decision(finding, "already_planned", f"{planned} is not over yet", planned)
    if rests_until:
        return Decision(finding, "cooling_down", f"left alone until {rfc3339(rests_until)}")
    if finding.action is None or finding.action in limits.barred:
        why = f"no right to {finding.action}" if finding.action else "nothing that madre may do about it"
        return Decision(finding, "would_have_told" if limits.shadow else "told", f"{why}: a person is told")
    if left <= 0:
        return Decision(finding, "over_budget", f"{limits.acts_per_hour} acts in an hour are the most")
    if limits.shadow:
        return Decision(finding, "would_have_done", f"shadow: {finding.action} was not planned")
    return Decision(finding, "delegated", f"{finding.action} is to be planned")


def _blind(picture: Picture, _now: datetime) -> Iterable[Finding]:
    if picture.is_blind:
        yield Finding("driver.blind", "driver", "critical", {"driver_answers": False})


def _failing(picture: Picture, _now: datetime) -> Iterable[Finding]:
    for service in picture.services:
        if service.hopeless:
            evidence = {"state": service.state, "since": rfc3339(service.since), "crashes": service.crashes}
            yield Finding("service.failing", service.name, "error", evidence)
        elif service.crashes >= CRASHES_AN_HOUR:
            yield Finding("service.crashing", service.name, "warning", {"crashes_in_an_hour": service.crashes})


def _idle_holds(picture: Picture, now: datetime) -> Iterable[Finding]:
    """A window without an end whose services serve nobody: memory that somebody forgot about."""
    for window in picture.windows:
        if window.mode == "hold" and window.idle_since is not None and now - window.idle_since >= IDLE_HOLD:
            evidence = {"services": list(window.services), "idle_since": rfc3339(window.idle_since)}
            act = {"window_id": window.window_id}
            yield Finding("window.idle", window.window_id, "info", evidence, "power.close_window", act)


def _waiting_long(picture: Picture, now: datetime) -> Iterable[Finding]:
    for plan in picture.plans:
        if plan.status == "WAITING" and now - plan.created_at >= WAITS_LONG:
            evidence = {"since": rfc3339(plan.created_at)}
            yield Finding("plan.waiting_long", plan.plan_id, "info", evidence)


def _checks_due(picture: Picture, now: datetime) -> Iterable[Finding]:
    kept = picture.upkeep
    due: tuple[tuple[str, str, str, datetime | None, timedelta, dict[str, Any]], ...] = (
        ("db.unchecked", "database", "db.sanity", kept.checked_at, CHECK_EVERY, {}),
        ("audit.unverified", "audit_logs", "audit.verify", kept.verified_at, CHECK_EVERY, {}),
        ("maintenance.due", "database", "system.maintenance", kept.maintained_at, MAINTAIN_EVERY, {"apply": True}),
    )
    for rule, subject, action, last, term, arguments in due:
        if now - (last or kept.since) >= term:
            evidence = {"last": rfc3339(last) if last else None}
            yield Finding(rule, subject, "info", evidence, action, arguments)


def _low_disk(picture: Picture, _now: datetime) -> Iterable[Finding]:
    if picture.free_mb < LOW_DISK_MB:
        yield Finding("disk.low", "data", "error", {"free_mb": picture.free_mb, "below_mb": LOW_DISK_MB})


_RULES: tuple[Callable[[Picture, datetime], Iterable[Finding]], ...] = (
    _blind,
    _failing,
    _idle_holds,
    _waiting_long,
    _checks_due,
    _low_disk,
)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return rfc3339(value)
    raise TypeError(f"{type(value).__name__} is not part of a picture")
