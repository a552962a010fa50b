"""Single actions that are named outright: a plan of one step, confirmed by saying the same again with its token."""

from __future__ import annotations

from sqlalchemy.orm import Session

from config.app import House
from config.auth import Caller
from config.contracts import plans as wire
from config.contracts.intents import Intent
from config.contracts.plans import Control, PlanConfirm
from config.errors import ConfirmationRefused
from madre.command import intent_of, text_of
from madre.draft import arguments_of
from madre.flows.ground import Grounds
from madre.flows.plans import Plans, asked_by

_SOURCE = "control"


class Commands:
    """The use case of `POST /madre/control`."""

    def __init__(self, house: House, grounds: Grounds, plans: Plans) -> None:
        self._house = house
        self._actions = grounds.actions
        self._plans = plans

    async def control(self, body: Control, caller: Caller) -> wire.Plan:
        """Draw the plan of one action up; with a token, confirm the plan that this very command came to."""
        intent = intent_of(body, self._actions)
        if body.confirm_token is None or intent.action not in self._actions:
            return await self._plans.draw_up([intent], asked_by(caller, text_of(body), _SOURCE), caller)
        plan_id = await self._house.db.reading(self._same, body.confirm_token, intent, caller)
        return await self._plans.confirm(plan_id, PlanConfirm(confirm_token=body.confirm_token), caller)

    def _same(self, session: Session, token: str, intent: Intent, caller: Caller) -> str:
        """The plan of the token; ConfirmationRefused unless it does exactly what is said now."""
        plan = self._plans.plan_of_token(session, token, caller)
        action = self._actions[intent.action or ""]
        wanted = (action.name, arguments_of(action, intent))
        if [(step.action, dict(step.arguments)) for step in plan.steps] != [wanted]:
            raise ConfirmationRefused(
                "This token was given for something else.",
                hint=f"GET /madre/plans/{plan.plan_id} shows for what.",
                extra={"reason": "wrong_token"},
            )
        return plan.plan_id
