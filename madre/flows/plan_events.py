"""What the journal says of plans: `plan.*` and `plan.step.*`, in the transaction of what they tell of.

They name the user and the conversation, so that a page can follow its own plans and nobody else's; results stay in the
rows, which only their owner reads.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from config.app import House
from config.contracts.events import Severity
from config.contracts.plans import Fault, Status
from config.events import fitting
from madre.plan import Plan

_DETAIL_MAX = 500  # bytes


def announce(house: House, session: Session, plan: Plan, what: str) -> None:
    """`plan.<what>`: how the plan stands now."""
    data = _about(plan)
    if plan.error is not None:
        data["error"] = _in_short(plan.error)
    _append(house, session, plan, f"plan.{what}", data, bad=plan.status is Status.ERROR)


def announce_step(house: House, session: Session, plan: Plan, number: int, what: str, why: Fault | None = None) -> None:
    """`plan.step.<what>`: how one step of the plan stands now; `why` it could not be taken back."""
    step = plan.step(number)
    data = {
        **_about(plan),
        "number": step.number,
        "of": len(plan.steps),
        "action": step.action,
        "step_status": step.status.value,
        "attempts": step.attempts,
    }
    if why is not None:
        data["why"] = _in_short(why)
    if step.error is not None:
        data["error"] = _in_short(step.error)
    _append(house, session, plan, f"plan.step.{what}", data, bad=step.status is Status.ERROR)


def _in_short(fault: Fault) -> dict[str, str]:
    return {"code": fault.code, "detail": fitting(fault.detail, _DETAIL_MAX)}


def _about(plan: Plan) -> dict[str, Any]:
    return {
        "plan_id": plan.plan_id,
        "user": plan.user,
        "session_id": plan.asked.session_id,
        "status": plan.status.value,
        "risk": plan.risk.value,
    }


def _append(house: House, session: Session, plan: Plan, type: str, data: dict[str, Any], *, bad: bool) -> None:
    severity: Severity = "warning" if bad else "info"
    house.journal.append(session, type, data, severity=severity, correlation_id=plan.asked.correlation_id)
