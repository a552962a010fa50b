"""The work of plans: each call here is one durable step of the runner (`madre/runner.py`), in a thread of its own.

What finished is never done again, twice over: the runner does not repeat a call that returned, and a call that was cut
short after its effect finds in the step's row whether that was finished. In between, an effect that madre's own rows
hold is made in the transaction that says so; one that a peer has is known there by the step's key; and one that goes
on without madre (a download, a daughter) is noted in the row as soon as it has a name.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.orm import Session

from config.app import House
from config.auth import Caller
from config.contracts.plans import Fault, Status
from config.errors import NotFound, Unavailable, VX11Error
from config.logs import correlation_id
from madre import plan as life
from madre.actions import Action, Arguments, action_named
from madre.flows.effects import BUG, Effects, Outcome, bounded, fault_of
from madre.flows.executors.order import Executor, Executors, Order
from madre.flows.plan_events import announce, announce_step
from madre.flows.plan_windows import PlanWindows
from madre.plan import Plan, Step
from madre.runner import effect_key
from madre.store import plans, steps
from madre.undo import is_met, to_undo, undo_of

P = ParamSpec("P")
T = TypeVar("T")
_DATABASE_AGAIN_SEC = 0.5
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Begun:
    """A step that is in hand now; `to_stop`: only to end what its earlier life left going on."""

    order: Order
    to_stop: bool = False


@dataclass(frozen=True, slots=True)
class _Later:
    """A step whose moment has not come."""

    until: datetime


class Steps:
    """`Work`, as the runner calls it. `executors` says how each action is done."""

    def __init__(
        self, house: House, windows: PlanWindows, effects: Effects, executors: Callable[[], Executors]
    ) -> None:
        self._house = house
        self._windows = windows
        self._effects = effects
        self._executors = executors

    def unfinished(self) -> list[str]:
        """The plans that run, or did when madre was cut short."""
        return self._write(steps.unfinished)

    def begin(self, plan_id: str) -> list[int]:
        """The numbers of the plan's steps; none where it is over or not there."""
        plan = self._write(_plan, plan_id)
        return [step.number for step in plan.steps] if plan and plan.status is Status.RUNNING else []

    def step(self, plan_id: str, number: int) -> bool:
        """Do one step; whether the plan goes on after it."""
        while isinstance(taken := self._attempt(plan_id, number), _Later):
            self._effects.sleep(plan_id, taken.until)
        if isinstance(taken, bool):
            return taken
        executor = self._executor(taken.order)
        outcome = Outcome() if taken.to_stop else self._effects.bring_about(taken.order, executor)
        if outcome.result is None:
            self._effects.stop(taken.order, executor)
        return self._write(self._over, plan_id, number, outcome)

    def to_undo(self, plan_id: str) -> list[int]:
        """The steps to take back, the last one first."""
        plan = self._write(_plan, plan_id)
        return [] if plan is None else to_undo(plan)

    def undo(self, plan_id: str, number: int) -> bool:
        """Take one step back; whether that could be done. A cancel of the plan does not cut it short."""
        plan = self._write(_plan, plan_id)
        wanted = None if plan is None else undo_of(plan.step(number))
        if plan is None or wanted is None:
            return plan is not None and plan.step(number).undone_at is not None
        order = self._order(plan, plan.step(number), *wanted, suffix=":undo")
        executor = self._executor(order)
        if executor.within is not None:
            return self._write(self._undone_within, plan_id, number, order)
        return self._write(self._undone, plan_id, number, self._effects.bring_about(order, executor, for_good=True))

    def end(self, plan_id: str) -> bool:
        """Let go of what the plan held and say how it ended; whether it ended well."""
        self._effects.forget(plan_id)
        return self._write(self._ended, plan_id, None)

    def abandon(self, plan_id: str, why: str) -> None:
        """Say that the plan ended because it could not be run; nothing where it is over."""
        self._write(self._ended, plan_id, Fault(code="internal", detail=f"The plan could not be run: {why}."))

    def cancel(self, plan_id: str) -> None:
        """Have no further step begin, and cut short the one that is under way; nothing where the plan does not run."""
        if self._write(self._asked_to_end, plan_id):
            self._effects.cut(plan_id)

    def interrupt(self) -> None:
        """Cut short what every plan is doing, because the process ends."""
        self._effects.cut(None)

    def _attempt(self, plan_id: str, number: int) -> _Begun | _Later | bool:
        """Take the step in hand; where its effect is madre's own rows, that is all there is to it."""
        try:
            return self._write(self._take, plan_id, number)
        except VX11Error as error:
            return self._write(self._over, plan_id, number, Outcome(fault=fault_of(error)))
        except Exception:  # border: whatever an action's own code lets slip ends the step, not the runner
            _log.exception("step %s of plan %s", number, plan_id)
            return self._write(self._over, plan_id, number, Outcome(fault=BUG))

    def _take(self, session: Session, plan_id: str, number: int) -> _Begun | _Later | bool:
        plan = _plan(session, plan_id)
        if plan is None:
            return False
        step, now = plan.step(number), self._house.clock.now()
        if plan.status.is_over or step.status.is_over:
            return _goes_on(plan, step)
        action = action_named(step.action)
        if plan.cancel_asked_at is not None:
            order = self._order(plan, step, action, _told(action, step))
            return _Begun(order, to_stop=True) if step.attempts else False
        if not is_met(plan, number):
            unneeded = life.step_not_needed(plan, number, f"{step.condition} was not found", now)
            return self._keep(session, unneeded, number, "skipped")
        if step.not_before is not None and now < step.not_before:
            if step.status is not Status.WAITING:
                self._keep(session, _waiting(plan, number), number, "waiting")
            return _Later(step.not_before)
        plan = life.step_begun(plan, number, now)
        order = self._order(plan, plan.step(number), action, _told(action, step))
        within = self._executor(order).within
        if within is not None:
            done = life.step_done(plan, number, bounded(within(session, order)), now)
            return self._keep(session, done, number, "done")
        self._keep(session, plan, number, "started")
        return _Begun(order)

    def _over(self, session: Session, plan_id: str, number: int, outcome: Outcome) -> bool:
        plan, now = _there(session, plan_id), self._house.clock.now()
        if outcome.is_cut:
            after, what = life.step_not_needed(plan, number, "cancelled while it was done", now), "cancelled"
        elif outcome.fault is not None:
            after, what = life.step_failed(plan, number, outcome.fault, now), "failed"
        else:
            after, what = life.step_done(plan, number, outcome.result or {}, now), "done"
        return self._keep(session, after, number, what)

    def _undone_within(self, session: Session, plan_id: str, number: int, order: Order) -> bool:
        within = self._executor(order).within
        assert within is not None
        return self._undone(session, plan_id, number, Outcome(within(session, order)))

    def _undone(self, session: Session, plan_id: str, number: int, outcome: Outcome) -> bool:
        plan, now = _there(session, plan_id), self._house.clock.now()
        if outcome.result is None:
            why = (outcome.fault or BUG).model_dump()
            announce_step(self._house, session, plan, number, "not_undone", why=why)
            return False
        undone = life.step_undone(plan, number, now)
        steps.keep_step(session, undone, number)
        announce_step(self._house, session, undone, number, "undone")
        return True

    def _keep(self, session: Session, plan: Plan, number: int, what: str) -> bool:
        """Keep a changed step, say so, and let go of windows that no later step needs; whether the plan goes on."""
        step = plan.step(number)
        steps.keep_step(session, plan, number)
        announce_step(self._house, session, plan, number, what)
        if plan.windows and step.status.is_over:
            self._windows.let_go(session, plan, self._still_needed(plan), caller_of(plan))
        return _goes_on(plan, step)

    def _still_needed(self, plan: Plan) -> set[str]:
        table = self._executors()
        left = [table[step.action] for step in plan.steps if not step.status.is_over and step.action in table]
        return {name for executor in left for name in executor.needs}

    def _ended(self, session: Session, plan_id: str, fault: Fault | None) -> bool:
        plan, now = _plan(session, plan_id), self._house.clock.now()
        if plan is None or plan.status.is_over:
            return plan is not None and plan.status is Status.DONE
        plan = self._windows.let_go(session, plan, (), caller_of(plan))
        if fault is not None:
            plan = life.failed(plan, fault, now)
        elif plan.cancel_asked_at is not None and not all(_is_whole(step) for step in plan.steps):
            plan = life.cancelled(plan, "somebody cancelled it", now)
        else:
            plan = life.finished(plan, now)
        plans.keep_plan(session, plan, now)
        announce(self._house, session, plan, plan.status.value.lower())
        return plan.status is Status.DONE

    def _asked_to_end(self, session: Session, plan_id: str) -> bool:
        plan, now = _plan(session, plan_id), self._house.clock.now()
        if plan is None or plan.status is not Status.RUNNING:
            return False
        if plan.cancel_asked_at is None:
            plans.keep_plan(session, life.asked_to_end(plan, now), now)
        return True

    def _order(self, plan: Plan, step: Step, action: Action, told: Arguments, suffix: str = "") -> Order:
        order = Order(
            plan_id=plan.plan_id,
            number=step.number,
            action=action,
            arguments=told,
            caller=caller_of(plan),
            key=effect_key(plan.plan_id, step.number) + suffix,
            attempt=max(1, step.attempts),
            session_id=plan.asked.session_id,
        )
        if not suffix:  # what an undoing notes is nowhere kept: the row belongs to the step's own result
            order.noted = dict(step.result or {})
            order.keep = lambda noted: self._house.db.writing(steps.note, order.plan_id, order.number, noted)
        return order

    def _executor(self, order: Order) -> Executor:
        table = self._executors()
        if order.action.name not in table:
            raise NotFound(f"Nobody here knows how {order.action.name} is done.")
        return table[order.action.name]

    def _write(self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """One unit of work. A database that is away is waited for: without it nothing can be said to be done."""
        while True:
            try:
                with self._house.db.write() as session:
                    return work(session, *args, **kwargs)
            except Unavailable as error:
                _log.warning("a plan waits for the database: %s", error.detail)
                self._effects.must_go_on()
                time.sleep(_DATABASE_AGAIN_SEC)


def caller_of(plan: Plan) -> Caller:
    """Whoever the plan is for, with the rights they had when they asked: a plan does nothing with madre's own."""
    return Caller(plan.asked.user, plan.asked.role, "plan")


def _plan(session: Session, plan_id: str) -> Plan | None:
    """The plan; from now on this thread's log lines and rows carry its correlation id."""
    plan = steps.plan(session, plan_id)
    if plan is not None:
        correlation_id.set(plan.asked.correlation_id)
    return plan


def _there(session: Session, plan_id: str) -> Plan:
    plan = _plan(session, plan_id)
    if plan is None:
        raise NotFound(f"There is no plan {plan_id!r} any more.")
    return plan


def _told(action: Action, step: Step) -> Arguments:
    return action.arguments.model_validate(dict(step.arguments))


def _goes_on(plan: Plan, step: Step) -> bool:
    return plan.cancel_asked_at is None and step.status is not Status.ERROR


def _is_whole(step: Step) -> bool:
    return step.status is Status.DONE and step.undone_at is None


def _waiting(plan: Plan, number: int) -> Plan:
    after = replace(plan.step(number), status=Status.WAITING)
    return replace(plan, steps=(*plan.steps[: number - 1], after, *plan.steps[number:]))
