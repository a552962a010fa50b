"""The policy: what stays up without a window."""

from __future__ import annotations

from sqlalchemy.orm import Session

from config import audit
from config.app import House
from config.auth import Caller
from config.contracts.power import Policy, PolicyStatus
from madre.flows.leasing import Leasing
from madre.flows.reconciler import Reconciler
from madre.store import power as store


class Policies:
    """Reading and applying the policy."""

    def __init__(self, house: House, reconciler: Reconciler, leasing: Leasing) -> None:
        self._house = house
        self._reconciler = reconciler
        self._leasing = leasing

    async def status(self, policy: Policy) -> PolicyStatus:
        """Whether `policy` is in force."""
        return PolicyStatus(policy=policy, active=await self._house.db.reading(self._leasing.policy) == policy)

    async def apply(self, policy: Policy, caller: Caller) -> PolicyStatus:
        """Put `policy` in force; open windows stay. NotEnoughMemory where what it keeps up does not fit."""
        is_new = await self._house.db.writing(self._put, policy, caller)
        if is_new:
            self._reconciler.forgive(self._reconciler.known)
        self._reconciler.nudge()
        return PolicyStatus(policy=policy, active=True, applied=is_new)

    def _put(self, session: Session, policy: Policy, caller: Caller) -> bool:
        before = store.policy(session)
        if policy == (before or self._house.settings.power.policy):
            return False
        self._leasing.admit(policy, store.live_windows(session))
        now = self._house.clock.now()
        store.set_policy(session, policy, now)
        audit.append(session, caller, "power.policy.apply", policy, {"before": before}, now=now, service="madre")
        self._house.journal.append(session, "power.policy.applied", {"policy": policy, "by": caller.user})
        return True
