"""Madre's things as the wire shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from config.contracts import plans, power
from config.contracts.power import DriverRun, Policy, PowerState, ServiceFigures, ServicePower
from config.services import FLEET
from madre.actions import ACTIONS
from madre.desired import policy_state
from madre.lives import Life
from madre.plan import Plan, Step, plan_hash
from madre.windows import Window, ends_last, remaining_sec


def window(shown: Window, now: datetime, run: DriverRun | None = None) -> power.Window:
    """A window; its deadline is null while none counts."""
    return power.Window(
        window_id=shown.window_id,
        services=list(shown.services),
        mode=shown.mode,
        state=shown.state,
        opened_by=shown.opened_by,
        reason=shown.reason,
        created_at=shown.created_at,
        deadline=None if shown.mode == "hold" else shown.deadline,
        ttl_remaining_sec=remaining_sec(shown, now),
        closed_at=shown.closed_at,
        close_reason=shown.close_reason,
        exec=run,
    )


def state(
    policy: Policy,
    windows: Iterable[Window],
    lives: Mapping[str, Life],
    figures: Callable[[str], ServiceFigures],
    now: datetime,
) -> PowerState:
    """Everything about power at `now`; `figures` says what is measured of a service."""
    live = list(windows)
    last = ends_last(live)
    services = [_service(name, lives.get(name), figures(name)) for name in FLEET]
    return PowerState(
        policy=policy_state(policy, live),
        windows=[window(one, now) for one in live],
        window_id=last.window_id if last else None,
        deadline=last.deadline if last and last.mode == "ttl" else None,
        ttl_remaining_sec=remaining_sec(last, now) if last else None,
        active_services=[one.name for one in services if one.state in ("ready", "unready", "starting")],
        services=services,
    )


def _service(name: str, life: Life | None, figures: ServiceFigures) -> ServicePower:
    if life is None:
        return ServicePower(name=name, state="absent", since=None, restarts=0, memory_mb=None)
    if not life.is_up:
        figures = ServiceFigures()
    return ServicePower(
        name=name,
        state=life.state,
        since=life.since,
        restarts=life.restarts,
        memory_mb=figures.usage.memory_mb if figures.usage else None,
        figures=figures,
    )


def plan(shown: Plan, confirm_token: str | None = None, confirm_until: datetime | None = None) -> plans.Plan:
    """A plan with its steps; the token goes with the one answer that gives it."""
    return plans.Plan(
        plan_id=shown.plan_id,
        user=shown.user,
        text=shown.asked.text,
        source=shown.asked.source,
        session_id=shown.asked.session_id,
        correlation_id=shown.asked.correlation_id,
        status=shown.status,
        risk=shown.risk,
        reasons=list(shown.reasons),
        plan_hash=plan_hash(shown),
        facts=dict(shown.observed),
        steps=[_step(step) for step in shown.steps],
        error=shown.error,
        created_at=shown.created_at,
        confirmed_at=shown.confirmed_at,
        started_at=shown.started_at,
        finished_at=shown.finished_at,
        confirm_token=confirm_token,
        confirm_until=confirm_until,
    )


def _step(step: Step) -> plans.Step:
    """A step; of an action that this version does not know any more, what its row says."""
    action = ACTIONS.get(step.action)
    return plans.Step(
        number=step.number,
        action=step.action,
        title=action.title if action else step.action,
        owner=action.owner if action else "",
        step_type=step.step_type,
        arguments=dict(step.arguments),
        condition=step.condition,
        not_before=step.not_before,
        risk=step.risk,
        reversible=bool(action and action.reversible),
        status=step.status,
        result=None if step.result is None else dict(step.result),
        error=step.error,
        started_at=step.started_at,
        finished_at=step.finished_at,
        undone_at=step.undone_at,
    )
