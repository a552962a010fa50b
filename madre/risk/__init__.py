"""How risky a plan is: the worst that any analyzer says of any step. Pure.

After OpenHands' ensemble of security analyzers (software-agent-sdk, `security/ensemble.py`): the worst counts, and an
analyzer that fails, or says what is no risk, counts as HIGH, so that a fault of ours never lets something pass. A
model's opinion is one analyzer among others: it can raise a risk and never lower one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from config.contracts.plans import Risk, worst
from madre.lanes import Rule
from madre.risk.arguments import look_at_arguments
from madre.risk.blast import look_at_blast
from madre.risk.finding import Deed, Finding, Opinion

__all__ = ["ANALYZERS", "MOST_REASONS", "Analyzer", "Assessment", "Deed", "Finding", "Opinion", "assess"]

Analyzer = Callable[[Deed], Iterable[Finding]]
_UNSURE = 0.7  # below this the reading of a sentence is a guess
MOST_REASONS = 12  # that a plan tells, the gravest first
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Assessment:
    """A risk and the reasons for it, the gravest first."""

    risk: Risk
    reasons: tuple[str, ...]


def look_at_class(deed: Deed) -> Iterable[Finding]:
    """What the kind of action says by itself: what cannot be taken back is never LOW."""
    action = deed.action
    if action.risk is not Risk.LOW:
        yield Finding(action.risk, f"{action.name}: {action.title[0].lower()}{action.title[1:]}")
    if action.changes and not action.reversible:
        yield Finding(Risk.MED, f"{action.name} cannot be taken back")


def look_at_lane(deed: Deed) -> Iterable[Finding]:
    """What the rails demand."""
    if deed.lane is not None and deed.lane.rule is Rule.REQUIRES_CONFIRMATION:
        yield Finding(Risk.MED, f"the lane {deed.lane.name} asks for a confirmation")


def look_at_reading(deed: Deed) -> Iterable[Finding]:
    """What the sentence was worth: its own words, and how surely they were read. Looking costs nothing to get wrong."""
    if worst(deed.said, deed.action.risk) is not deed.action.risk:
        yield Finding(deed.said, "the words that it was asked in")
    if deed.heard < _UNSURE and deed.action.changes:
        yield Finding(Risk.MED, f"the sentence was read with a confidence of {deed.heard:.2f}")


def look_at_opinion(deed: Deed) -> Iterable[Finding]:
    """What a model holds of it, where one was asked."""
    if deed.opinion is not None:
        risk = Risk.HIGH if deed.opinion.risk is None else deed.opinion.risk
        if risk is not Risk.LOW:
            yield Finding(risk, f"a model's opinion: {deed.opinion.reason}"[:256])


ANALYZERS: Sequence[Analyzer] = (
    look_at_class,
    look_at_arguments,
    look_at_blast,
    look_at_lane,
    look_at_reading,
    look_at_opinion,
)


def assess(deed: Deed, analyzers: Sequence[Analyzer] = ANALYZERS) -> Assessment:
    """The worst that `analyzers` say of one step."""
    return together([finding for analyzer in analyzers for finding in _said_by(analyzer, deed)])


def together(findings: Sequence[Finding]) -> Assessment:
    """One assessment of all that was found; LOW without any finding."""
    ordered = sorted(findings, key=lambda finding: -_RANK[finding.risk])
    reasons = tuple(dict.fromkeys(f"{finding.risk}: {finding.reason}" for finding in ordered))
    return Assessment(worst(*(finding.risk for finding in findings)), reasons[:MOST_REASONS])


_RANK = {risk: rank for rank, risk in enumerate(Risk)}


def _said_by(analyzer: Analyzer, deed: Deed) -> list[Finding]:
    name = getattr(analyzer, "__name__", type(analyzer).__name__)
    try:
        found = list(analyzer(deed))
    except Exception:  # border: an analyzer that fails must raise the risk, and must not stop the others
        _log.exception("analyzer %s failed on %s", name, deed.action.name)
        return [Finding(Risk.HIGH, f"{name} failed, so nobody knows")]
    return [_judged(finding, name) for finding in found]


def _judged(finding: object, analyzer: str) -> Finding:
    """What was found; HIGH where it is no risk that this house knows."""
    if isinstance(finding, Finding) and type(finding.risk) is Risk:
        return finding
    return Finding(Risk.HIGH, f"{analyzer} said what is no risk")
