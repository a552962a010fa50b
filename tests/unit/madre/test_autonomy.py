"""Autonomy decides: what its rules find, and what speaks against acting on it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madre import autonomy
from madre.autonomy import Finding, Limits, Past, Picture, PlanSeen, ServiceSeen, Upkeep, WindowSeen

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
JUST_NOW = Upkeep(NOW, NOW, NOW, NOW)
ACTIVE = Limits(shadow=False, acts_per_hour=2, cooldown=timedelta(minutes=15))
SHADOW = replace(ACTIVE, shadow=True)
WELL = Picture((ServiceSeen("switch", "ready", NOW, False, 0),), (), (), JUST_NOW, 50_000, False)


def rules(picture: Picture, now: datetime = NOW) -> list[tuple[str, str]]:
    return [(finding.rule, finding.subject) for finding in autonomy.reason(picture, now)]


def act(subject: str = "a") -> Finding:
    return Finding("rule", subject, "info", {}, "db.sanity")


def past(verdict: str, ago: timedelta, subject: str = "a") -> Past:
    return Past(NOW - ago, "rule", subject, verdict)  # type: ignore[arg-type]  # a test's own word


def verdicts(findings: list[Finding], before: list[Past], limits: Limits = ACTIVE, *plans: PlanSeen) -> list[str]:
    decisions = autonomy.decide(findings, before, plans, limits, NOW)
    assert [decision.finding for decision in decisions] == findings
    return [decision.verdict for decision in decisions]


def test_a_fleet_that_is_well_is_left_alone() -> None:
    assert rules(WELL) == []
    assert autonomy.outcome(autonomy.decide((), (), (), ACTIVE, NOW)) == "quiet"


def test_each_rule_sees_what_it_is_for_the_gravest_first() -> None:
    window = WindowSeen("window-1", ("switch",), "hold", "ana", NOW - timedelta(minutes=30))
    picture = Picture(
        services=(ServiceSeen("hermes", "failed", NOW, True, 4), ServiceSeen("switch", "ready", NOW, False, 3)),
        windows=(window, replace(window, window_id="window-2", mode="ttl")),
        plans=(PlanSeen("plan-1", "ana", "WAITING", NOW - timedelta(hours=1)), PlanSeen("plan-2", "x", "RUNNING", NOW)),
        upkeep=Upkeep(NOW - timedelta(days=8), NOW - timedelta(hours=25), NOW, None),
        free_mb=100,
        is_blind=True,
    )
    assert rules(picture) == [
        ("driver.blind", "driver"),
        ("disk.low", "data"),
        ("service.failing", "hermes"),
        ("service.crashing", "switch"),
        ("db.unchecked", "database"),
        ("maintenance.due", "database"),
        ("plan.waiting_long", "plan-1"),
        ("window.idle", "window-1"),
    ]


def test_a_window_in_use_or_idle_for_a_moment_is_nobodys_business() -> None:
    busy = WindowSeen("w", ("switch",), "hold", "ana", None)
    for window in (busy, replace(busy, idle_since=NOW - timedelta(minutes=29))):
        assert rules(replace(WELL, windows=(window,))) == []


def test_a_new_house_is_first_checked_a_day_later() -> None:
    fresh = replace(WELL, upkeep=Upkeep(NOW, None, None, None))
    assert rules(fresh, NOW + timedelta(hours=23)) == []
    assert {rule for rule, _ in rules(fresh, NOW + timedelta(hours=24))} == {"db.unchecked", "audit.unverified"}


def test_the_same_picture_has_the_same_digests_and_a_change_shows_in_its_part_alone() -> None:
    before, again = autonomy.digests(WELL), autonomy.digests(replace(WELL))
    after = autonomy.digests(replace(WELL, is_blind=True))
    assert before == again
    assert {part for part in before if before[part] != after[part]} == {"is_blind"}


def test_what_is_chosen_is_delegated_in_shadow_it_would_have_been() -> None:
    told = Finding("rule", "b", "info", {})
    assert verdicts([act(), told], []) == ["delegated", "told"]
    assert verdicts([act(), told], [], SHADOW) == ["would_have_done", "would_have_told"]


def test_the_budget_of_an_hour_is_for_acts_alone() -> None:
    told = Finding("rule", "t", "critical", {})
    assert verdicts([told, act("a"), act("b"), act("c")], []) == ["told", "delegated", "delegated", "over_budget"]
    spent = [past("delegated", timedelta(minutes=59), "x"), past("told", timedelta(minutes=1), "y")]
    assert verdicts([act("a"), act("b")], spent) == ["delegated", "over_budget"]
    an_hour_ago = [past("delegated", timedelta(hours=1), "x")]
    assert verdicts([act("a"), act("b")], an_hour_ago) == ["delegated", "delegated"]
    assert verdicts([act()], [], replace(ACTIVE, acts_per_hour=0)) == ["over_budget"]


@pytest.mark.parametrize(
    ("verdict", "minutes"),
    [("delegated", 15), ("would_have_done", 15), ("failed", 15), ("told", 240), ("would_have_told", 240)],
)
def test_what_something_was_done_about_cools_down(verdict: str, minutes: int) -> None:
    almost = timedelta(minutes=minutes - 1)
    assert verdicts([act(), act("b")], [past(verdict, almost)]) == ["cooling_down", "delegated"]
    assert verdicts([act()], [past(verdict, timedelta(minutes=minutes))]) == ["delegated"]


@pytest.mark.parametrize("verdict", ["cooling_down", "over_budget", "already_planned"])
def test_what_nothing_was_done_about_does_not(verdict: str) -> None:
    assert verdicts([act()], [past(verdict, timedelta(minutes=1))]) == ["delegated"]


def test_what_is_planned_already_is_not_planned_again() -> None:
    before = [past("delegated", timedelta(hours=3))]
    waiting = PlanSeen("plan-1", "ana", "WAITING", NOW, ("rule", "a"))
    assert verdicts([act(), act("b")], before, ACTIVE, waiting) == ["already_planned", "delegated"]
    assert verdicts([act()], before, ACTIVE, replace(waiting, about=None)) == ["delegated"]


def test_it_does_nothing_that_whoever_started_it_may_not() -> None:
    assert verdicts([act()], [], replace(ACTIVE, barred=frozenset({"db.sanity"}))) == ["told"]
    assert verdicts([act()], [], replace(SHADOW, barred=frozenset({"db.sanity"}))) == ["would_have_told"]


@given(st.lists(st.sampled_from("abcdef"), max_size=12), st.integers(0, 5), st.booleans())
def test_never_more_acts_than_the_budget_however_many_ticks(subjects: list[str], budget: int, shadow: bool) -> None:
    limits, before, now = Limits(shadow, budget, timedelta(minutes=5)), list[Past](), NOW
    for tick in range(40):
        findings = [act(subject) for subject in dict.fromkeys(subjects)]
        for one in autonomy.decide(findings, before, (), limits, now + timedelta(minutes=tick)):
            before.append(Past(now + timedelta(minutes=tick), "rule", one.finding.subject, one.verdict))
    acts = sorted(one.at for one in before if one.verdict in autonomy.COUNTED)
    for index, first in enumerate(acts):
        assert sum(1 for at in acts[index:] if at - first < autonomy.BUDGET_SPAN) <= budget
