"""Desired, actual, and what is done about the difference."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from config.contracts.power import Policy, ServiceState
from config.services import CORE
from madre import windows
from madre.desired import desired, policy_state
from madre.lives import Life
from madre.reconcile import acts, surplus
from madre.windows import Lease, Window

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SLEEPERS = ("switch", "hermes", "spawner")
PRESENT = (*CORE, *SLEEPERS)


def window(name: str, *services: str) -> Window:
    return windows.new(name, Lease(services, "ttl", 600, 3600, "ana", "", "asked"), NOW)


LIVES = st.builds(
    Life,
    st.sampled_from([state for state in get_args(ServiceState) if state != "absent"]),
    st.just(NOW),
    try_at=st.sampled_from([None, NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)]),
)
PICTURES = st.fixed_dictionaries(dict.fromkeys(PRESENT, LIVES))
HELD = st.lists(st.sets(st.sampled_from(SLEEPERS), min_size=1), max_size=3)


def test_a_service_is_up_while_the_policy_or_any_window_holds_it() -> None:
    first, second = window("w-1", "switch"), window("w-2", "hermes", "switch")
    assert desired("solo_madre", [], PRESENT) == {"tentaculo_link": ("core",), "madre": ("core",)}
    assert desired("solo_madre", [first, second], PRESENT) == {
        "tentaculo_link": ("core",),
        "madre": ("core",),
        "switch": ("w-1", "w-2"),
        "hermes": ("w-2",),
    }
    assert "switch" in desired("solo_madre", [windows.expired(first, NOW), second], PRESENT)
    assert "switch" not in desired("solo_madre", [windows.closing(first, "x")], PRESENT)
    assert set(desired("full", [], PRESENT)) == set(PRESENT)


def test_an_absent_service_is_never_desired() -> None:
    assert "shub" not in desired("full", [window("w-1", "shub")], PRESENT)


def test_windowed_is_what_solo_madre_is_called_while_a_window_is_open() -> None:
    open_one = window("w-1", "switch")
    assert policy_state("solo_madre", [open_one]) == "windowed"
    assert policy_state("solo_madre", [windows.closing(open_one, "x")]) == "solo_madre"
    assert policy_state("full", [open_one]) == "full"


@given(st.sampled_from(get_args(Policy)), HELD, PICTURES, st.sets(st.sampled_from(PRESENT)))
def test_acts_close_the_difference_and_touch_nothing_else(
    policy: Policy, held: list[set[str]], picture: dict[str, Life], busy: set[str]
) -> None:
    wanted = desired(policy, [window(f"w-{number}", *sorted(one)) for number, one in enumerate(held)], PRESENT)
    done = {act.service: act.kind for act in acts(wanted, picture, busy, NOW)}
    assert not set(done) & set(CORE)
    for service in SLEEPERS:
        life, kind = picture[service], done.get(service)
        assert (kind == "start") == (service in wanted and life.may_start(NOW))
        assert (kind == "stop") == (service not in wanted and life.is_up and service not in busy)
        assert (kind == "leave") == (service not in wanted and life.is_up and service in busy)
        assert (service in surplus(wanted, picture)) == (kind in ("stop", "leave"))


@given(HELD, PICTURES)
def test_acting_twice_on_the_same_picture_finds_nothing_more_to_do(
    held: list[set[str]], picture: dict[str, Life]
) -> None:
    wanted = desired("solo_madre", [window(f"w-{number}", *sorted(one)) for number, one in enumerate(held)], PRESENT)
    after = dict(picture)
    for act in acts(wanted, picture, set(), NOW):
        after[act.service] = replace(after[act.service], state="starting" if act.kind == "start" else "stopping")
    assert acts(wanted, after, set(), NOW) == []


def test_a_failed_service_is_left_alone_until_its_pause_is_over() -> None:
    wanted = desired("full", [], PRESENT)
    resting = Life("failed", NOW, try_at=NOW + timedelta(seconds=5))
    picture = {service: Life("ready", NOW) for service in PRESENT} | {"switch": resting}
    assert acts(wanted, picture, set(), NOW + timedelta(seconds=4)) == []
    assert [act.kind for act in acts(wanted, picture, set(), NOW + timedelta(seconds=5))] == ["start"]


def test_the_core_is_brought_back_in_core_mode_alone_and_never_stopped() -> None:
    picture = {service: Life("ready", NOW) for service in PRESENT} | {"tentaculo_link": Life("asleep", NOW)}
    wanted = desired("full", [], PRESENT)
    assert acts(wanted, picture, set(), NOW) == []
    assert [(act.kind, act.service) for act in acts(wanted, picture, set(), NOW, core_mode=True)] == [
        ("start", "tentaculo_link")
    ]
    asleep = desired("solo_madre", [], PRESENT)
    stopped = {act.service for act in acts(asleep, picture, set(), NOW, core_mode=True) if act.kind == "stop"}
    assert stopped == set(SLEEPERS)
