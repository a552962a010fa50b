"""Plans as people and programs use them: drawn up, shown, reviewed, confirmed, cancelled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from config import audit
from config.app import House, every
from config.auth import EVERYBODY, Caller, Scope
from config.contracts import plans as wire
from config.contracts.base import Page
from config.contracts.intents import Intent
from config.contracts.plans import PlanCancel, PlanConfirm, Status
from config.db_schema import new_id
from config.errors import ConfirmationRefused, Conflict, LaneMissing, NotFound, StalePlan, TooManyRequests, VX11Error
from config.logs import correlation_id
from config.paging import cut, decode_cursor
from madre import plan as life
from madre import shown
from madre.actions import Action
from madre.draft import draft
from madre.flows.confirming import Confirming, Token
from madre.flows.foreseeing import counted, must_be_possible
from madre.flows.ground import Grounds
from madre.flows.plan_events import announce
from madre.lanes import BUILT_IN, name_of
from madre.plan import Asked, Plan
from madre.risk import Opinion
from madre.runner import Runner
from madre.store import intents as intents_log
from madre.store import plans as store
from madre.store import rails

Along = Callable[[Session, str], None]  # what whoever asks keeps of the plan by that id, together with it
_SWEEP_SEC = 30.0
_RAILS_SPOKE = frozenset({"lane_missing", "service_absent", "role_required", "conflict"})


class Plans:
    """The use cases of a plan. Whoever may not see a plan is told that there is none."""

    def __init__(self, house: House, runner: Runner, grounds: Grounds) -> None:
        self._house = house
        self._runner = runner
        self._grounds = grounds
        self._confirming = Confirming(house, grounds)

    def running(self) -> AbstractAsyncContextManager[object]:
        """Plans that nobody confirms in time are ended while the block runs; the first look comes at once."""
        return every(_SWEEP_SEC, self.sweep, name="plans that nobody confirmed")()

    async def put_lanes(self) -> None:
        """Have the rails' table hold what it was built with; what somebody changed there stays."""
        await self._house.db.writing(rails.add_missing_lanes, BUILT_IN, self._house.clock.now())

    async def draw_up(
        self,
        intents: Sequence[Intent],
        asked: Asked,
        caller: Caller,
        *,
        hold: bool = False,
        opinions: Sequence[Opinion] = (),
        along: Along | None = None,
    ) -> wire.Plan:
        """The plan that these intents come to: LOW starts at once, MED and HIGH wait, with a token in the answer.

        With `hold` a LOW one waits too. `opinions` are a model's, one for each intent, where it guessed at them.
        `along` is done in the unit of work that commits the plan. An error of the tree where one of them cannot be
        done; that is on record.
        """
        try:
            plan, token = await self._house.db.writing(self._drawn_up, intents, asked, caller, hold, opinions, along)
        except VX11Error as refusal:
            await self._house.db.writing(self._refused, intents, asked, refusal)
            raise
        if plan.status is Status.RUNNING:
            await self._runner.start(plan.plan_id)
        else:
            self._runner.prepare()
        return _shown(plan, token)

    async def planned(self, intent: Intent, text: str, source: str, caller: Caller) -> wire.Plan:
        """The plan of one intent, for what acts on somebody's behalf."""
        return await self.draw_up([intent], asked_by(caller, text, source), caller)

    async def show(self, plan_id: str, caller: Caller) -> wire.Plan:
        """One plan; opening another user's leaves a trace."""
        plan = await self._house.db.reading(_seen, plan_id, caller)
        if plan.user != caller.user:
            await self._house.db.writing(self._audited, plan, caller, "plan.read")
        return _shown(plan)

    async def page(
        self, limit: int, cursor: str | None, caller: Caller, *, user: str | None = None, status: Status | None = None
    ) -> Page[wire.Plan]:
        """Plans, newest first: one's own, or for who may see all those of `user`; each such page leaves a trace."""
        whose = caller.whose(user, Scope.PLANS_ALL)
        position = decode_cursor(cursor)
        rows = await self._house.db.reading(store.plans_before, position, limit + 1, user=whose, status=status)
        page, following = cut(rows, limit, lambda plan: (plan.created_at, plan.plan_id))
        if whose != caller.user:
            await self._house.db.writing(self._looked_through, page, whose or EVERYBODY, caller)
        return Page(items=[_shown(plan) for plan in page], next_cursor=following)

    async def confirm(self, plan_id: str, body: PlanConfirm, caller: Caller) -> wire.Plan:
        """Spend the token and start the plan, in one transaction; refused tokens are on record."""
        try:
            plan = await self._house.db.writing(self._confirmed, plan_id, body.confirm_token, caller)
        except (ConfirmationRefused, StalePlan, LaneMissing) as refusal:
            await self._house.db.writing(self._not_confirmed, plan_id, caller, refusal)
            raise
        await self._runner.start(plan.plan_id)
        return _shown(plan)

    async def review(self, plan_id: str, caller: Caller) -> wire.Plan:
        """A waiting plan against the house as it is now, with a fresh token; earlier ones are void."""
        plan, token = await self._house.db.writing(self._reviewed, plan_id, caller)
        return _shown(plan, token)

    async def cancel(self, plan_id: str, body: PlanCancel, caller: Caller) -> wire.Plan:
        """End a plan: at once if it waits; if it runs, no further step begins. Cancelling again changes nothing."""
        plan = await self._house.db.writing(self._cancelled, plan_id, body.reason, caller)
        if plan.status is Status.RUNNING:
            await self._runner.cancel(plan.plan_id)
            plan = await self._house.db.reading(_seen, plan_id, caller)
        return _shown(plan)

    async def sweep(self) -> None:
        """End the plans that have waited too long; without one, nothing is written."""
        before = self._house.clock.now() - timedelta(seconds=self._house.settings.madre.waiting_max_sec)
        if await self._house.db.reading(store.waiting_since, before):
            await self._house.db.writing(self._swept, before)

    def plan_of_token(self, session: Session, token: str, caller: Caller) -> Plan:
        """The plan that a token was given for; ConfirmationRefused for one that nobody was given."""
        plan_id = self._confirming.plan_of(session, token)
        if plan_id is None:
            raise ConfirmationRefused("This token confirms nothing.", extra={"reason": "wrong_token"})
        return _seen(session, plan_id, caller)

    def _drawn_up(
        self,
        session: Session,
        intents: Sequence[Intent],
        asked: Asked,
        caller: Caller,
        hold: bool,
        opinions: Sequence[Opinion],
        along: Along | None,
    ) -> tuple[Plan, Token | None]:
        now = self._house.clock.now()
        self._must_have_room(session, caller)
        ground = self._grounds.ground(session, [intent.parameters for intent in intents], caller)
        plan = draft(intents, asked, caller, ground, plan_id=new_id("plan"), now=now, opinions=opinions)
        must_be_possible(plan, self._house.settings)
        plan = counted(session, plan, self._house.settings, now)
        waits = hold or plan.risk is not wire.Risk.LOW
        plan = plan if waits else life.started(plan, now)
        store.keep_plan(session, plan, now)
        risks = [step.risk for step in plan.steps]
        intents_log.log_intents(session, intents, asked, now, outcome="planned", plan_id=plan.plan_id, risks=risks)
        if along is not None:
            along(session, plan.plan_id)
        announce(self._house, session, plan, "planned")
        self._note_raised(session, plan, asked)
        if not waits:
            self._audited(session, plan, caller, "plan.start")
            return plan, None
        return plan, self._confirming.issue(session, plan, caller)

    def _note_raised(self, session: Session, plan: Plan, asked: Asked) -> None:
        """Put on record that what was asked for is riskier than its kind."""
        actions = [self._grounds.actions[step.action] for step in plan.steps]
        if plan.risk is wire.worst(*(action.risk for action in actions)):
            return
        rails.add_rails_event(
            session,
            asked,
            plan.created_at,
            action=", ".join(action.name for action in actions),
            verdict="raised",
            detail="; ".join(plan.reasons),
            lane=_lane_of(actions),
            plan_id=plan.plan_id,
        )

    def _refused(self, session: Session, intents: Sequence[Intent], asked: Asked, refusal: VX11Error) -> None:
        now = self._house.clock.now()
        intents_log.log_intents(session, intents, asked, now, outcome=refusal.code)
        if refusal.code in _RAILS_SPOKE:
            named = ", ".join(intent.action or "?" for intent in intents)
            lane = _lane_of([self._grounds.actions.get(intent.action or "") for intent in intents])
            rails.add_rails_event(
                session, asked, now, action=named, verdict=refusal.code, detail=refusal.detail, lane=lane
            )

    def _confirmed(self, session: Session, plan_id: str, token: str, caller: Caller) -> Plan:
        waiting = _seen(session, plan_id, caller)
        plan = self._confirming.confirmed(session, waiting, token, caller)
        store.keep_plan(session, plan, self._house.clock.now())
        self._audited(session, plan, caller, "plan.confirm")
        announce(self._house, session, plan, "confirmed")
        return plan

    def _not_confirmed(self, session: Session, plan_id: str, caller: Caller, refusal: VX11Error) -> None:
        plan = _seen(session, plan_id, caller)
        asked = asked_by(caller, plan.asked.text, "confirm")
        rails.add_rails_event(
            session,
            asked,
            self._house.clock.now(),
            action="plan.confirm",
            verdict=str(refusal.extra.get("reason", refusal.code)),
            detail=refusal.detail,
            plan_id=plan_id,
        )

    def _reviewed(self, session: Session, plan_id: str, caller: Caller) -> tuple[Plan, Token]:
        now = self._house.clock.now()
        plan = self._confirming.reviewed(session, _seen(session, plan_id, caller), caller)
        plan = counted(session, plan, self._house.settings, now)
        store.keep_plan(session, plan, now)
        if plan.user != caller.user:
            self._audited(session, plan, caller, "plan.review")
        return plan, self._confirming.issue(session, plan, caller)

    def _cancelled(self, session: Session, plan_id: str, reason: str, caller: Caller) -> Plan:
        now, plan = self._house.clock.now(), _seen(session, plan_id, caller)
        if plan.status is Status.CANCELLED or plan.cancel_asked_at is not None:
            return plan
        if plan.status.is_over:
            raise Conflict(f"Plan {plan_id} is {plan.status}; there is nothing to cancel.")
        why = f"cancelled by {caller.user}" + (f": {reason}" if reason else "")
        runs = plan.status is Status.RUNNING
        plan = life.asked_to_end(plan, now) if runs else life.cancelled(plan, why, now)
        store.revoke_confirmations(session, plan_id, now)
        store.keep_plan(session, plan, now)
        self._audited(session, plan, caller, "plan.cancel")
        announce(self._house, session, plan, "cancel_asked" if runs else "cancelled")
        return plan

    def _swept(self, session: Session, before: datetime) -> None:
        now = self._house.clock.now()
        for plan in store.waiting_since(session, before):
            ended = life.cancelled(plan, "nobody confirmed it in time", now)
            store.revoke_confirmations(session, plan.plan_id, now)
            store.keep_plan(session, ended, now)
            announce(self._house, session, ended, "cancelled")

    def _audited(self, session: Session, plan: Plan, caller: Caller, action: str) -> None:
        """Record the act; `override` where the plan is another user's."""
        detail = {
            "of": plan.user,
            "override": plan.user != caller.user,
            "risk": plan.risk.value,
            "plan_hash": life.plan_hash(plan),
            "actions": [step.action for step in plan.steps],
        }
        now = self._house.clock.now()
        audit.append(session, caller, action, plan.plan_id, detail, now=now, service="madre")

    def _looked_through(self, session: Session, page: Sequence[Plan], whose: str, caller: Caller) -> None:
        """Record that others' plans were listed, and which."""
        detail = {"of": whose, "override": True, "plans": [plan.plan_id for plan in page if plan.user != caller.user]}
        now = self._house.clock.now()
        audit.append(session, caller, "plan.list", whose, detail, now=now, service="madre")

    def _must_have_room(self, session: Session, caller: Caller) -> None:
        most = self._house.settings.madre.open_plans_per_user
        if store.open_plans_of(session, caller.user) >= most:
            raise TooManyRequests(
                f"{most} plans of {caller.user} wait or run already.",
                hint="Confirm or cancel some: GET /madre/plans lists them.",
                retry_after_sec=_SWEEP_SEC,
            )


def asked_by(caller: Caller, text: str, source: str, session_id: str | None = None) -> Asked:
    """What the request at hand asks for."""
    return Asked(caller.user, caller.role, text, source, correlation_id.get(), session_id)


def _seen(session: Session, plan_id: str, caller: Caller) -> Plan:
    """The plan, if `caller` may see it; NotFound for another user's and for none alike."""
    plan = store.plan(session, plan_id)
    if plan is None or (plan.user != caller.user and not caller.may(Scope.PLANS_ALL)):
        raise NotFound(f"There is no plan {plan_id!r}.", hint="GET /madre/plans lists yours.")
    return plan


def _lane_of(actions: Sequence[Action | None]) -> str | None:
    """The lane of the first of these actions that is known."""
    return next((name_of(action) for action in actions if action), None)


def _shown(plan: Plan, token: Token | None = None) -> wire.Plan:
    return shown.plan(plan, token.text, token.until) if token else shown.plan(plan)
