"""What can be known of a plan before anybody confirms it: that it cannot succeed, and how much it would delete."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import cast

from sqlalchemy.orm import Session

from config.settings import Settings
from madre.flows.control import Verb, must_be_allowed
from madre.plan import Plan
from madre.retention import cutoffs
from madre.store import terms

_SERVICE = "service."
_COUNTED = "maintenance would delete "


def must_be_possible(plan: Plan, settings: Settings) -> None:
    """An error of the tree for a step that this house refuses whenever it comes: said now, not in ten minutes."""
    for step in plan.steps:
        if step.action.startswith(_SERVICE):
            verb = cast(Verb, step.action.removeprefix(_SERVICE))
            must_be_allowed(str(step.arguments["service"]), verb, settings)


def counted(session: Session, plan: Plan, settings: Settings, now: datetime) -> Plan:
    """`plan`, whose reasons say first what its maintenance would delete, counted now; any other plan as it is.

    A reason and no fact: rows come of age every minute, and a plan that is stale as often could never be confirmed.
    """
    if not any(step.action == "system.maintenance" and step.arguments.get("apply") for step in plan.steps):
        return plan
    past = terms.rows_before(session, cutoffs(settings.retention, now))
    others = (reason for reason in plan.reasons if not reason.startswith(_COUNTED))
    return replace(plan, reasons=(_in_words(past), *others))


def _in_words(past: dict[str, int]) -> str:
    told = ", ".join(_most_first(past))
    return f"{_COUNTED}{sum(past.values())} rows past their term{f' ({told})' if told else ''}, and make a backup"


def _most_first(past: dict[str, int]) -> Iterator[str]:
    return (f"{table} {rows}" for table, rows in sorted(past.items(), key=lambda one: (-one[1], one[0])) if rows)
