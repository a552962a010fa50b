"""Confirmations in a unit of work: giving a token for a plan, and taking it for the start of that plan."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from config.app import House
from config.auth import Caller
from config.contracts.plans import Risk, Status
from config.db_schema.madre import ConfirmationRow
from config.errors import Conflict
from madre import plan as life
from madre.actions import action_named
from madre.confirmation import Bound, Issued, Presented, must_confirm, sha256_of, token_of
from madre.draft import Ground, grown, judged_again, observe, reviewed
from madre.flows.ground import Grounds
from madre.lanes import lane_of, must_keep_to
from madre.plan import Plan, plan_hash
from madre.store import plans as store
from madre.world import fingerprint

_PURPOSE = "confirmation of plans"


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is shown, once, and until when it is good."""

    text: str
    until: datetime


class Confirming:
    """Issues tokens and spends them; every function runs inside the caller's write."""

    def __init__(self, house: House, grounds: Grounds) -> None:
        self._house = house
        self._grounds = grounds

    def issue(self, session: Session, plan: Plan, caller: Caller) -> Token:
        """A fresh token with which `caller` may confirm `plan` as it is; earlier ones are void."""
        now = self._house.clock.now()
        bound = Bound(
            confirmation_id=secrets.token_hex(16),
            plan_id=plan.plan_id,
            plan_hash=plan_hash(plan),
            risk=plan.risk,
            user=caller.user,
            fingerprint=fingerprint(plan.observed),
            expires_at=now + timedelta(seconds=self._house.settings.madre.confirm_ttl_sec),
        )
        token = token_of(bound, self._seal)
        store.add_confirmation(session, _row(bound, sha256_of(token), now))
        return Token(token, bound.expires_at)

    def confirmed(self, session: Session, plan: Plan, token: str, caller: Caller) -> Plan:
        """`plan`, running; its token is spent.

        ConfirmationRefused or StalePlan where the token does not allow it; LaneMissing where a lane was closed since.
        """
        now = self._house.clock.now()
        row = store.confirmation_of(session, sha256_of(token))
        ground = self._ground(session, plan, caller)
        shown = Presented(
            token=token,
            user=caller.user,
            plan_id=plan.plan_id,
            plan_hash=plan_hash(plan),
            risk=plan.risk,
            observed_then=plan.observed,
            observed_now=observe(plan, ground.actions, ground.world),
            grown=grown(plan, judged_again(plan, ground)),
        )
        must_confirm(_issued(row) if row else None, shown, self._seal, now)
        for action in [action_named(step.action) for step in plan.steps]:
            caller.require(action.scope)
            must_keep_to(lane_of(ground.lanes, action), action)
        assert row is not None, "must_confirm let nothing pass"
        row.used_at = now
        return life.started(plan, now, caller.user)

    def plan_of(self, session: Session, token: str) -> str | None:
        """The plan that a token was given for."""
        row = store.confirmation_of(session, sha256_of(token))
        return row.plan_id if row else None

    def reviewed(self, session: Session, plan: Plan, caller: Caller) -> Plan:
        """`plan` against the house as it is now: what it depends on, and the risk, which may have grown."""
        if plan.status is not Status.WAITING:
            raise Conflict(f"Plan {plan.plan_id} is {plan.status}; there is nothing to confirm.")
        return reviewed(plan, self._ground(session, plan, caller))

    def _ground(self, session: Session, plan: Plan, caller: Caller) -> Ground:
        return self._grounds.ground(session, [step.arguments for step in plan.steps], caller)

    def _seal(self, message: bytes) -> str:
        return self._house.auth.seal(_PURPOSE, message)


def _row(bound: Bound, token_sha256: str, now: datetime) -> ConfirmationRow:
    return ConfirmationRow(
        confirmation_id=bound.confirmation_id,
        plan_id=bound.plan_id,
        token_sha256=token_sha256,
        plan_hash=bound.plan_hash,
        risk=bound.risk.value,
        user=bound.user,
        fingerprint=bound.fingerprint,
        created_at=now,
        expires_at=bound.expires_at,
        used_at=None,
        revoked_at=None,
    )


def _issued(row: ConfirmationRow) -> Issued:
    bound = Bound(
        confirmation_id=row.confirmation_id,
        plan_id=row.plan_id,
        plan_hash=row.plan_hash,
        risk=Risk(row.risk),
        user=row.user,
        fingerprint=row.fingerprint,
        expires_at=row.expires_at,
    )
    return Issued(row.token_sha256, bound, row.used_at, row.revoked_at)
