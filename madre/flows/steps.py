"""The work of plans: each call here is cut where madre may be killed (`madre/runner.py`), in a thread of its own.

What finished is never done again: a step's row says that it is over in the transaction that made it so, and the next
life begins with those that are not. In between, an effect that madre's own rows hold is made in that very transaction;
one that a peer has is known there by the step's key; and one that goes on without madre (a download, a daughter) is
noted in the row as soon as it has a name.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.orm import Session

from config.app import House
from config.auth import Caller
from config.contracts.plans import Fault, Status
from config.errors import DiskFull, NotFound, Unavailable, VX11Error
from config.logs import correlation_id
from madre import plan as life
from madre.actions import Action, Arguments, action_named
from madre.flows.effects import BUG, Effects, Outcome, bounded, fault_of
from madre.flows.executors.order import Executor, Executors, Order
from madre.flows.plan_events import announce, announce_step
from madre.flows.plan_windows import PlanWindows
from madre.plan import Plan, Step
from madre.runner import Next, effect_key
from madre.store import steps
from madre.undo import is_met, to_undo, undo_of

P = ParamSpec("P")
T = TypeVar("T")
_DATABASE_AGAIN_SEC = 0.5
_KNOWN = "plan"  # in a session: the plan as its commit will leave it
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Begun:
    """A step that is in hand now; `to_stop`: only to end what its earlier life left going on."""

    order: Order
    to_stop: bool = False


class Steps:
    """`Work`, as the runner calls it. `executors` says how each action is done."""

    def __init__(
        self, house: House, windows: PlanWindows, effects: Effects, executors: Callable[[], Executors]
    ) -> None:
        self._house = house
        self._windows = windows
        self._effects = effects
        self._executors = executors
        self._known: dict[str, Plan] = {}  # of the plans in hand: how their last commit left them

    def to_run(self) -> Mapping[str, float]:
        """The plans that run, or did when madre was cut short; the seconds until there is something to do."""
        now = self._house.clock.now()
        with self._house.db.read() as session:
            found = steps.to_run(session)
        return {name: max(0.0, (at - now).total_seconds()) if at else 0.0 for name, at in found.items()}

    def begin(self, plan_id: str) -> list[int]:
        """The steps that are left to do; none where the plan is over, or one of them failed."""
        self._known.pop(plan_id, None)
        plan = self._read(plan_id)
        if plan is None or plan.status is not Status.RUNNING or _has_failed(plan):
            return []
        return [step.number for step in plan.steps if not step.status.is_over]

    def step(self, plan_id: str, number: int) -> Next:
        """Do one step; what follows it."""
        self._effects.must_go_on()
        taken = self._attempt(plan_id, number)
        if isinstance(taken, Next):
            return taken
        executor = self._executor(taken.order)
        outcome = Outcome() if taken.to_stop else self._effects.bring_about(taken.order, executor)
        if outcome.result is None:
            self._effects.stop(taken.order, executor)
        return self._write(self._over, plan_id, number, outcome)

    def to_undo(self, plan_id: str) -> list[int]:
        """The steps to take back, the last one first; none where the plan reached its end."""
        plan = self._read(plan_id)
        if plan is None or plan.status.is_over:  # what could not be taken back then is not tried again
            return []
        return to_undo(plan) if plan.cancel_asked_at is not None or _has_failed(plan) else []

    def undo(self, plan_id: str, number: int) -> None:
        """Take one step back, if that can be done. A cancel of the plan does not cut it short."""
        self._effects.must_go_on()
        plan = self._read(plan_id)
        wanted = None if plan is None else undo_of(plan.step(number))
        if plan is None or wanted is None:
            return
        order = self._order(plan, plan.step(number), *wanted, suffix=":undo")
        executor = self._executor(order)
        if executor.within is not None:
            self._write(self._undone_within, plan_id, number, order)
        else:
            self._write(self._undone, plan_id, number, self._effects.bring_about(order, executor, for_good=True))

    def end(self, plan_id: str) -> None:
        """Let go of what the plan held and say how it ended."""
        self._effects.forget(plan_id)
        self._write(self._ended, plan_id, None)
        self._known.pop(plan_id, None)

    def abandon(self, plan_id: str, why: str) -> None:
        """Say that the plan ended because it could not be run; nothing where it is over."""
        self._known.pop(plan_id, None)
        self._write(self._ended, plan_id, Fault(code="internal", detail=f"The plan could not be run: {why}."))

    def cancel(self, plan_id: str) -> None:
        """Have no further step begin, and cut short the one that is under way; nothing where the plan does not run."""
        if self._write(self._asked_to_end, plan_id):
            self._effects.cut(plan_id)

    def interrupt(self) -> None:
        """Cut short what every plan is doing, because the process ends."""
        self._effects.cut(None)

    def _attempt(self, plan_id: str, number: int) -> _Begun | Next:
        """Take the step in hand; where its effect is madre's own rows, that is all there is to it."""
        try:
            return self._write(self._take, plan_id, number)
        except VX11Error as error:
            return self._write(self._over, plan_id, number, Outcome(fault=fault_of(error)))
        except Exception:  # border: whatever an action's own code lets slip ends the step, not the runner
            _log.exception("step %s of plan %s", number, plan_id)
            return self._write(self._over, plan_id, number, Outcome(fault=BUG))

    def _take(self, session: Session, plan_id: str, number: int) -> _Begun | Next:
        plan = self._now(session, plan_id, number)
        if plan is None or plan.status.is_over:
            return Next.STOP
        step, now = plan.step(number), self._house.clock.now()
        if step.status.is_over:
            return _next(plan, step)
        action = action_named(step.action)
        if plan.cancel_asked_at is not None:
            order = self._order(plan, step, action, _told(action, step))
            return _Begun(order, to_stop=True) if step.attempts else Next.STOP
        if not is_met(plan, number):
            unneeded = life.step_not_needed(plan, number, f"{step.condition} was not found", now)
            return self._keep(session, unneeded, number, "skipped")
        if step.not_before is not None and now < step.not_before:
            if step.status is not Status.WAITING:
                self._keep(session, _waiting(plan, number), number, "waiting")
            return Next.LATER
        return self._begun(session, plan, number, now)

    def _begun(self, session: Session, before: Plan, number: int, now: datetime) -> _Begun | Next:
        plan = life.step_begun(before, number, now)
        action = action_named(plan.step(number).action)
        order = self._order(plan, plan.step(number), action, _told(action, plan.step(number)))
        within = self._executor(order).within
        if within is None:
            self._keep(session, plan, number, "started")
            return _Begun(order)
        done = life.step_done(plan, number, bounded(within(session, order)), now)
        return self._keep(session, done, number, "done")

    def _over(self, session: Session, plan_id: str, number: int, outcome: Outcome) -> Next:
        plan, now = self._there(session, plan_id, number), self._house.clock.now()
        if outcome.is_cut:
            after, what = life.step_not_needed(plan, number, "cancelled while it was done", now), "cancelled"
        elif outcome.fault is not None:
            after, what = life.step_failed(plan, number, outcome.fault, now), "failed"
        else:
            after, what = life.step_done(plan, number, outcome.result or {}, now), "done"
        return self._keep(session, after, number, what)

    def _undone_within(self, session: Session, plan_id: str, number: int, order: Order) -> None:
        within = self._executor(order).within
        assert within is not None
        self._undone(session, plan_id, number, Outcome(within(session, order)))

    def _undone(self, session: Session, plan_id: str, number: int, outcome: Outcome) -> None:
        plan, now = self._there(session, plan_id, number), self._house.clock.now()
        if outcome.result is None:
            announce_step(self._house, session, plan, number, "not_undone", why=outcome.fault or BUG)
            return
        undone = life.step_undone(plan, number, now)
        steps.keep_step(session, undone, number)
        announce_step(self._house, session, undone, number, "undone")
        session.info[_KNOWN] = undone

    def _keep(self, session: Session, plan: Plan, number: int, what: str) -> Next:
        """Keep a changed step, say so, and let go of windows that no later step needs; what follows."""
        step = plan.step(number)
        steps.keep_step(session, plan, number)
        announce_step(self._house, session, plan, number, what)
        if plan.windows and step.status.is_over:
            plan = self._windows.let_go(session, plan, self._still_needed(plan), caller_of(plan))
        session.info[_KNOWN] = plan
        return _next(plan, step)

    def _still_needed(self, plan: Plan) -> set[str]:
        table = self._executors()
        left = [table[step.action] for step in plan.steps if not step.status.is_over and step.action in table]
        return {name for executor in left for name in executor.needs}

    def _ended(self, session: Session, plan_id: str, fault: Fault | None) -> None:
        before, now = self._now(session, plan_id), self._house.clock.now()
        if before is None or before.status.is_over:
            return
        plan = self._windows.let_go(session, before, (), caller_of(before))
        if fault is not None:
            plan = life.failed(plan, fault, now)
        elif plan.cancel_asked_at is not None and not all(_is_whole(step) for step in plan.steps):
            plan = life.cancelled(plan, "somebody cancelled it", now)
        else:
            plan = life.finished(plan, now)
        steps.keep_end(session, before, plan, now)
        announce(self._house, session, plan, plan.status.value.lower())

    def _asked_to_end(self, session: Session, plan_id: str) -> bool:
        plan, now = _plan(session, plan_id), self._house.clock.now()
        if plan is None or plan.status is not Status.RUNNING:
            return False
        if plan.cancel_asked_at is None:
            steps.ask_to_end(session, life.asked_to_end(plan, now), now)
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

    def _now(self, session: Session, plan_id: str, number: int = 1) -> Plan | None:
        """The plan as it is now: what nobody else can have changed, the other steps too, is not read again."""
        known = self._known.get(plan_id)
        if known is None:
            return _plan(session, plan_id)
        correlation_id.set(known.asked.correlation_id)
        return steps.brought_up(session, known, number)

    def _there(self, session: Session, plan_id: str, number: int) -> Plan:
        plan = self._now(session, plan_id, number)
        if plan is None:
            raise NotFound(f"There is no plan {plan_id!r} any more.")
        return plan

    def _read(self, plan_id: str) -> Plan | None:
        """The plan, which is known from now on."""

        def read() -> Plan | None:
            with self._house.db.read() as session:
                return self._now(session, plan_id)

        plan = self._despite_weather(read)
        if plan is not None:
            self._known[plan_id] = plan
        return plan

    def _write(self, work: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """One unit of work."""

        def write() -> T:
            with self._house.db.write() as session:
                found = work(session, *args, **kwargs)
            if (plan := session.info.get(_KNOWN)) is not None:  # not before it is committed
                self._known[plan.plan_id] = plan
            return found

        return self._despite_weather(write)

    def _despite_weather(self, unit: Callable[[], T]) -> T:
        """A database that is away, or has no room, is waited for: without it nothing can be said to be done."""
        while True:
            try:
                return unit()
            except (Unavailable, DiskFull) as error:
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


def _told(action: Action, step: Step) -> Arguments:
    return action.arguments.model_validate(dict(step.arguments))


def _next(plan: Plan, step: Step) -> Next:
    return Next.ON if plan.cancel_asked_at is None and step.status is not Status.ERROR else Next.STOP


def _has_failed(plan: Plan) -> bool:
    return any(step.status is Status.ERROR for step in plan.steps)


def _is_whole(step: Step) -> bool:
    return step.status is Status.DONE and step.undone_at is None


def _waiting(plan: Plan, number: int) -> Plan:
    after = replace(plan.step(number), status=Status.WAITING)
    return replace(plan, steps=(*plan.steps[: number - 1], after, *plan.steps[number:]))
