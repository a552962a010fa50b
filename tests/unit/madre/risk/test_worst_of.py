"""The worst that any analyzer says counts; what fails or is unknown is HIGH; nothing lowers anything."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import pytest

from config.contracts.plans import Risk
from madre.actions import ACTIONS, Action
from madre.lanes import Lane, Rule
from madre.risk import ANALYZERS, Deed, Finding, Opinion, assess, look_at_class
from tests.support.drafts import deed


def says(*risks: Risk) -> Any:
    def analyzer(_deed: Deed) -> Iterable[Finding]:
        return [Finding(risk, f"it is {risk}") for risk in risks]

    return analyzer


def fails(_deed: Deed) -> Iterable[Finding]:
    raise ZeroDivisionError("a bug of ours")


def fails_half_way(_deed: Deed) -> Iterable[Finding]:
    yield Finding(Risk.LOW, "so far so good")
    raise KeyError("arguments")


@pytest.mark.parametrize(
    ("said", "risk"),
    [
        ([], Risk.LOW),
        ([Risk.LOW], Risk.LOW),
        ([Risk.LOW, Risk.MED], Risk.MED),
        ([Risk.HIGH, Risk.LOW, Risk.MED], Risk.HIGH),
    ],
)
def test_the_worst_of_all_analyzers_counts(said: list[Risk], risk: Risk) -> None:
    assert assess(deed("power.state"), [says(one) for one in said]).risk is risk
    assert assess(deed("power.state"), [says(*said)]).risk is risk


@pytest.mark.parametrize("broken", [fails, fails_half_way])
def test_an_analyzer_that_fails_is_high_and_the_others_are_heard(broken: Any) -> None:
    judged = assess(deed("power.state"), [broken, says(Risk.MED)])
    assert judged.risk is Risk.HIGH
    assert judged.reasons == (f"HIGH: {broken.__name__} failed, so nobody knows", "MED: it is MED")


@pytest.mark.parametrize(
    "unknown", [None, "LOW", Finding(cast("Risk", None), "?"), Finding(cast("Risk", "LOW"), "?"), 0]
)
def test_what_is_no_risk_is_high(unknown: object) -> None:
    assert assess(deed("power.state"), [lambda _deed: [cast("Finding", unknown)]]).risk is Risk.HIGH


def test_each_of_the_houses_analyzers_that_failed_would_make_a_harmless_step_high() -> None:
    assert assess(deed("power.state")).risk is Risk.LOW
    for number in range(len(ANALYZERS)):
        with_a_fault = [*ANALYZERS[:number], fails, *ANALYZERS[number + 1 :]]
        assert assess(deed("power.state"), with_a_fault).risk is Risk.HIGH


def test_reasons_are_told_once_and_the_gravest_first() -> None:
    judged = assess(deed("power.state"), [says(Risk.MED, Risk.HIGH), says(Risk.MED)])
    assert judged.reasons == ("HIGH: it is HIGH", "MED: it is MED")


@pytest.mark.parametrize("action", ACTIONS.values(), ids=lambda action: action.name)
def test_no_action_is_held_for_less_than_its_class_and_none_that_destroys_is_low(action: Action) -> None:
    found = [finding.risk for finding in look_at_class(_bare(action))]
    order = list(Risk)
    assert max([order.index(risk) for risk in found], default=0) >= order.index(action.risk)
    if action.changes and not action.reversible:
        assert Risk.LOW not in [max(found, key=order.index)]


@pytest.mark.parametrize("action", ACTIONS.values(), ids=lambda action: action.name)
@pytest.mark.parametrize("opinion", [Risk.LOW, Risk.MED, Risk.HIGH, None])
def test_a_models_opinion_raises_and_never_lowers(action: Action, opinion: Risk | None) -> None:
    order = list(Risk)
    alone = assess(_bare(action), [look_at_class])
    held = _bare(action, opinion=Opinion(opinion, "as I see it"))
    together = assess(held, [look_at_class, *[one for one in ANALYZERS if one.__name__ == "look_at_opinion"]])
    wanted = Risk.HIGH if opinion is None else opinion
    assert order.index(together.risk) == max(order.index(alone.risk), order.index(wanted))


def _bare(action: Action, opinion: Opinion | None = None) -> Deed:
    return deed(action.name, opinion=opinion)


def test_the_words_themselves_can_raise_it() -> None:
    assert assess(deed("power.state", said=Risk.HIGH)).risk is Risk.HIGH


def test_a_guess_at_what_was_said_changes_nothing_unasked() -> None:
    assert assess(deed("power.open_window", services=["switch"])).risk is Risk.LOW
    assert assess(deed("power.open_window", services=["switch"], heard=0.6)).risk is Risk.MED
    assert assess(deed("power.state", heard=0.3)).risk is Risk.LOW


def test_a_lane_can_ask_for_a_confirmation() -> None:
    lane = Lane("db", "sanity", "madre", Rule.REQUIRES_CONFIRMATION)
    assert assess(deed("db.sanity")).risk is Risk.LOW
    assert assess(deed("db.sanity", lane=lane)).risk is Risk.MED
