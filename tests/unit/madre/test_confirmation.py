"""A token confirms one plan, as it was shown, by one person, in one state of the house, until its time is over."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from config.contracts.plans import Risk
from config.errors import ConfirmationRefused, StalePlan
from config.logs import redacted
from madre.confirmation import TOKEN_PREFIX, Bound, Issued, Presented, must_confirm, sha256_of, token_of
from madre.world import Change, fingerprint
from tests.support.drafts import NOW

OBSERVED = {"model gemma": "enabled, abab", "power policy": "solo_madre"}
UNTIL = NOW + timedelta(seconds=600)
BOUND = Bound("0" * 32, "plan-1", "a" * 64, Risk.HIGH, "ana", fingerprint(OBSERVED), UNTIL)


def seal(message: bytes, key: bytes = b"the house's") -> str:
    return hmac.new(key, message, hashlib.sha256).hexdigest()


TOKEN = token_of(BOUND, seal)


def issued(**changes: Any) -> Issued:
    bound = replace(BOUND, **{key: changes.pop(key) for key in list(changes) if hasattr(BOUND, key)})
    return Issued(sha256_of(TOKEN), bound, **changes)


def shown(**changes: Any) -> Presented:
    given: dict[str, Any] = {
        "token": TOKEN,
        "user": "ana",
        "plan_id": "plan-1",
        "plan_hash": "a" * 64,
        "risk": Risk.HIGH,
        "observed_then": OBSERVED,
        "observed_now": OBSERVED,
    }
    return Presented(**{**given, **changes})


def reason(row: Issued | None, presented: Presented, at: Any = NOW) -> str:
    with pytest.raises(ConfirmationRefused) as refused:
        must_confirm(row, presented, seal, at)
    return str(refused.value.extra["reason"])


def test_the_right_token_confirms() -> None:
    must_confirm(issued(), shown(), seal, NOW)
    must_confirm(issued(), shown(), seal, UNTIL - timedelta(milliseconds=1))
    assert fingerprint(OBSERVED) == fingerprint(dict(reversed(OBSERVED.items())))


@pytest.mark.parametrize(
    "presented",
    [
        shown(user="eva"),
        shown(plan_id="plan-2"),
        shown(token=TOKEN[:-1] + ("0" if TOKEN[-1] != "0" else "1")),
        shown(token=TOKEN_PREFIX),
        shown(token="ñ"),
    ],
)
def test_a_token_is_for_this_plan_and_this_person_alone(presented: Presented) -> None:
    assert reason(issued(), presented) == "wrong_token"


@pytest.mark.parametrize(
    "presented",
    [
        shown(plan_hash="b" * 64),
        shown(risk=Risk.MED),
        shown(observed_then={**OBSERVED, "power policy": "full"}),
    ],
)
def test_a_plan_that_is_not_what_it_was_is_not_confirmed(presented: Presented) -> None:
    assert reason(issued(), presented) == "changed"


@pytest.mark.parametrize(
    "row",
    [
        issued(user="eva"),
        issued(plan_id="plan-2"),
        issued(plan_hash="b" * 64),
        issued(risk=Risk.LOW),
        issued(fingerprint="c" * 64),
        issued(expires_at=UNTIL + timedelta(days=1)),
        issued(confirmation_id="1" * 32),
        None,
    ],
)
def test_a_row_that_somebody_changed_lets_nothing_pass(row: Issued | None) -> None:
    assert reason(row, shown()) == "wrong_token"


@pytest.mark.parametrize(
    "both",
    [
        {"user": "eva"},
        {"plan_hash": "b" * 64},
        {"risk": Risk.LOW},
    ],
)
def test_nor_does_a_row_that_was_changed_together_with_the_plan(both: dict[str, Any]) -> None:
    assert reason(issued(**both), shown(**both)) == "wrong_token"


def test_another_houses_token_is_nobodys() -> None:
    forged = token_of(BOUND, lambda message: seal(message, b"somebody else's"))
    assert forged != TOKEN
    assert reason(issued(), shown(token=forged)) == "wrong_token"


def test_a_token_is_used_once() -> None:
    assert reason(issued(used_at=NOW), shown()) == "used"


def test_a_later_token_makes_it_void() -> None:
    assert reason(issued(revoked_at=NOW), shown()) == "void"


@pytest.mark.parametrize("late_sec", [0, 1, 10**6])
def test_its_time_is_over_at_its_end(late_sec: float) -> None:
    assert reason(issued(), shown(), UNTIL + timedelta(seconds=late_sec)) == "expired"


def test_whoever_has_the_wrong_token_learns_no_more_than_that() -> None:
    for row in (issued(used_at=NOW), issued(revoked_at=NOW), None):
        assert reason(row, shown(user="eva"), UNTIL) == "wrong_token"


def test_a_state_that_changed_is_refused_with_the_difference() -> None:
    now = {"model gemma": "disabled, abab", "window w": "ttl on switch"}
    with pytest.raises(StalePlan) as stale:
        must_confirm(issued(), shown(observed_now=now), seal, NOW)
    assert stale.value.extra["changes"] == [
        {"what": "model gemma", "was": "enabled, abab", "now": "disabled, abab"},
        {"what": "power policy", "was": "solo_madre", "now": "there is none"},
        {"what": "window w", "was": "there is none", "now": "ttl on switch"},
    ]
    assert "model gemma was enabled, abab, and is disabled, abab" in stale.value.detail
    assert "/madre/plans/plan-1/review" in (stale.value.hint or "")


def test_a_risk_that_has_grown_is_a_difference_too() -> None:
    grown = Change("risk of step 1 (models.disable)", "MED", "HIGH: it is the only one")
    with pytest.raises(StalePlan, match=r"risk of step 1 \(models.disable\) was MED, and is HIGH") as stale:
        must_confirm(issued(), shown(grown=[grown]), seal, NOW)
    assert stale.value.extra["changes"] == [{"what": grown.what, "was": grown.was, "now": grown.now}]
    assert reason(issued(used_at=NOW), shown(grown=[grown])) == "used"


def test_a_token_is_redacted_wherever_text_is_kept() -> None:
    assert TOKEN not in redacted(f'{{"confirm_token": "{TOKEN}"}}')
    assert redacted(TOKEN) == "[redacted]"
