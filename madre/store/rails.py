"""SQL of the rails: the table of lanes, and what the rails said."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from config.db_schema.madre import RailsEvent, RailsLane
from madre.lanes import Lane, Lanes, Rule, by_name
from madre.plan import Asked


def lanes(session: Session) -> Lanes:
    """The lanes, closed ones too."""
    rows = session.scalars(select(RailsLane))
    return by_name(Lane(row.domain, row.kind, row.owner, Rule(row.rule), row.enabled) for row in rows)


def add_missing_lanes(session: Session, built_in: Iterable[Lane], now: datetime) -> int:
    """Put lanes into the table that are not there; how many. What somebody changed or closed stays as it is."""
    missing = [lane for lane in built_in if session.get(RailsLane, (lane.domain, lane.kind)) is None]
    for lane in missing:
        session.add(
            RailsLane(
                domain=lane.domain, kind=lane.kind, owner=lane.owner, rule=lane.rule.value, enabled=True, updated_at=now
            )
        )
    return len(missing)


def add_rails_event(
    session: Session,
    asked: Asked,
    now: datetime,
    *,
    action: str,
    verdict: str,
    detail: str,
    lane: str | None = None,
    plan_id: str | None = None,
) -> None:
    """Record that a rail spoke; `verdict` is a code of the error tree, or `raised`."""
    session.add(
        RailsEvent(
            at=now,
            user=asked.user,
            correlation_id=asked.correlation_id,
            plan_id=plan_id,
            action=action[:64],
            lane=lane,
            verdict=verdict,
            detail=detail,
        )
    )
