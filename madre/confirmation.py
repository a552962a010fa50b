"""A confirmation: one person lets exactly one plan run, in the state of the house that it was shown against. Pure.

A token is `vx11_confirm_`, a random id, and an HMAC over all that it is bound to: the plan's hash, its risk, the
caller, the expiry and the fingerprint of the observed state. The house keeps its SHA-256 and the bound values: the
database alone gives no token away, and a row that somebody changed lets nothing pass, because both halves must agree.
As in Terraform ("saved plan is stale"), a state that changed is refused with the difference. So is one in which the
plan would do more harm than was shown, even where no fact that the plan itself depends on is another.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from config.clock import rfc3339
from config.contracts.plans import Risk
from config.errors import ConfirmationRefused, StalePlan
from madre.plan import canonical
from madre.world import Change, difference, fingerprint

TOKEN_PREFIX = "vx11_confirm_"  # in the form of all our tokens, so that logs and events redact it (config/logs.py)
Seal = Callable[[bytes], str]


@dataclass(frozen=True, slots=True)
class Bound:
    """What one token is bound to; `confirmation_id` is random and makes it unlike every other."""

    confirmation_id: str
    plan_id: str
    plan_hash: str
    risk: Risk
    user: str
    fingerprint: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Issued:
    """A token as the house keeps it: its hash, what it is bound to, and what became of it."""

    token_sha256: str
    bound: Bound
    used_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Presented:
    """What somebody wants to confirm: a token, by whom, and the plan and the state as they are now.

    `grown` is what makes the plan riskier in this state than it was when the token was given, whatever the facts say.
    """

    token: str
    user: str
    plan_id: str
    plan_hash: str
    risk: Risk
    observed_then: Mapping[str, str]
    observed_now: Mapping[str, str]
    grown: Sequence[Change] = ()


def token_of(bound: Bound, seal: Seal) -> str:
    """The token that is bound to this; `seal` is an HMAC under a key that never leaves the house."""
    return f"{TOKEN_PREFIX}{bound.confirmation_id}_{seal(_message(bound))}"


def sha256_of(token: str) -> str:
    """What the house keeps of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def must_confirm(issued: Issued | None, shown: Presented, seal: Seal, now: datetime) -> None:
    """Nothing, if the token lets the plan run; ConfirmationRefused or StalePlan, with the reason, if not.

    A stranger learns no more than that the token is not for this plan: whoever has the wrong token is told the same,
    whatever is wrong with it.
    """
    if issued is None or not _is_theirs(issued.bound, shown, seal):
        raise _refused("wrong_token", "This token does not confirm this plan.", shown)
    if issued.used_at is not None:
        raise _refused("used", "This token was used already.", shown)
    if issued.revoked_at is not None:
        raise _refused("void", "A later token was given for this plan, so this one is void.", shown)
    if now >= issued.bound.expires_at:
        raise _refused("expired", "This token is too old.", shown)
    if not _is_of(issued.bound, shown):
        raise _refused("changed", "The plan is not as it was when this token was given.", shown)
    _must_be_fresh(shown)


def _must_be_fresh(shown: Presented) -> None:
    changes = [*difference(shown.observed_then, shown.observed_now), *shown.grown]
    if changes:
        told = "; ".join(f"{change.what} was {change.was}, and is {change.now}" for change in changes[:5])
        raise StalePlan(
            f"The plan is stale: {told}.",
            hint=f"POST /madre/plans/{shown.plan_id}/review shows it anew, with a fresh token.",
            extra={"changes": [{"what": one.what, "was": one.was, "now": one.now} for one in changes]},
        )


def _is_theirs(bound: Bound, shown: Presented, seal: Seal) -> bool:
    """Whether the house gave this very token, to this caller, for this plan."""
    genuine = hmac.compare_digest(token_of(bound, seal).encode(), shown.token.encode())
    return genuine and (bound.plan_id, bound.user) == (shown.plan_id, shown.user)


def _is_of(bound: Bound, shown: Presented) -> bool:
    """Whether the plan is what it was: the same steps, risk and facts."""
    was = (bound.plan_hash, bound.risk, bound.fingerprint)
    return was == (shown.plan_hash, shown.risk, fingerprint(shown.observed_then))


def _message(bound: Bound) -> bytes:
    return canonical(
        {
            "confirmation_id": bound.confirmation_id,
            "plan_id": bound.plan_id,
            "plan_hash": bound.plan_hash,
            "risk": bound.risk.value,
            "user": bound.user,
            "fingerprint": bound.fingerprint,
            "expires_at": rfc3339(bound.expires_at),
        }
    ).encode()


def _refused(reason: str, detail: str, shown: Presented) -> ConfirmationRefused:
    hint = f"POST /madre/plans/{shown.plan_id}/review shows the plan anew, with a fresh token."
    return ConfirmationRefused(detail, hint=hint, extra={"reason": reason})
