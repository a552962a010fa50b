"""A window's life: every order of events keeps the rules the contract names."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import Conflict
from madre import windows
from madre.windows import Lease, Window

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
CAP_SEC = 3600.0


def lease(**changes: object) -> Lease:
    given_: dict[str, object] = {
        "services": ("hermes", "switch"),
        "mode": "ttl",
        "ttl_sec": 600.0,
        "cap_sec": CAP_SEC,
        "opened_by": "ana",
        "reason": "work",
        "origin": "asked",
    }
    return Lease(**{**given_, **changes})  # type: ignore[arg-type]


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def window(**changes: object) -> Window:
    return windows.new("window-1", lease(**changes), NOW)


EVENTS = st.lists(
    st.tuples(
        st.floats(0, 5000),
        st.one_of(
            st.tuples(st.just("renew"), st.floats(1, 3600)),
            st.tuples(st.just("extend"), st.floats(1, 3600)),
            st.tuples(st.just("hold"), st.booleans()),
            st.tuples(st.sampled_from(["opened", "closing", "closed", "failed", "deadline"]), st.none()),
        ),
    ),
    max_size=20,
)


def step(current: Window, event: tuple[str, float | bool | None], now: datetime) -> Window:
    kind, value = event
    if kind in ("renew", "extend", "hold") and not current.holds:
        return current
    steps: dict[str, Callable[[], Window]] = {
        "renew": lambda: windows.renewed(current, float(value or 1), now),
        "extend": lambda: windows.extended(current, float(value or 1), now),
        "hold": lambda: windows.held(current, bool(value), now, CAP_SEC),
        "opened": lambda: windows.opened(current, now),
        "closing": lambda: windows.closing(current, "closed by ana"),
        "closed": lambda: windows.closed(current, now),
        "failed": lambda: windows.failed(current, "would not stay up", now),
        "deadline": lambda: windows.at_deadline(current, frozenset(), now) if windows.is_due(current, now) else current,
    }
    return steps[kind]()


@given(EVENTS)
def test_no_order_of_events_breaks_the_rules(events: list[tuple[float, tuple[str, float | bool | None]]]) -> None:
    current, elapsed = window(), 0.0
    for pause, event in events:
        elapsed += pause
        before, current = current, step(current, event, after(elapsed))
        assert current.deadline <= current.max_deadline
        assert current.services == before.services
        if before.is_over:
            assert current == before
        if before.state == "closing":
            assert current.state in ("closing", "closed")
        assert current.is_over == (current.closed_at is not None)
        assert not (current.is_over and current.close_reason is None)


def test_it_opens_once_all_are_ready_and_closes_in_two_steps() -> None:
    opened = windows.opened(window(), after(1))
    assert (opened.state, opened.opened_at, opened.holds) == ("open", after(1), True)
    assert windows.opened(opened, after(2)) == opened
    assert opened.deadline == after(601)  # a slow start takes nothing of its time
    assert windows.opened(window(), after(90_000)).deadline == window().max_deadline
    closing = windows.closing(opened, "closed by ana")
    assert (closing.state, closing.holds, closing.is_over) == ("closing", False, False)
    assert windows.closing(closing, "closed by bo") == closing
    closed = windows.closed(closing, after(3))
    assert (closed.state, closed.closed_at, closed.close_reason) == ("closed", after(3), "closed by ana")


def test_the_deadline_is_when_it_says() -> None:
    assert not windows.is_due(window(), after(599.999))
    assert windows.is_due(window(), after(600))
    assert not windows.is_due(window(), after(659), opening_sec=60)
    assert windows.is_due(window(), after(660), opening_sec=60)
    assert windows.is_due(windows.opened(window(), after(0)), after(600), opening_sec=60)
    assert windows.remaining_sec(window(), after(599)) == 1
    assert windows.remaining_sec(window(), after(700)) == 0
    assert windows.at_deadline(window(), frozenset(), after(600)).state == "expired"


def test_holding_takes_the_deadline_away_and_letting_go_starts_it_anew() -> None:
    held = windows.held(window(), True, after(10), CAP_SEC)
    assert (windows.is_due(held, after(10_000)), windows.remaining_sec(held, after(5))) == (False, None)
    again = windows.held(held, False, after(10_000), CAP_SEC)
    assert (again.mode, again.deadline) == ("ttl", after(10_600))
    assert windows.held(again, False, after(10_300), CAP_SEC) == again


def test_renewing_never_shortens_extending_sets_exactly_and_both_stop_at_the_cap() -> None:
    assert windows.renewed(window(), 10, after(1)).deadline == after(600)
    assert windows.renewed(window(), 600, after(100)).deadline == after(700)
    assert windows.extended(window(), 10, after(1)).deadline == after(11)
    assert windows.extended(window(), 3600, after(100)).deadline == after(CAP_SEC)
    assert windows.moved(window(), after(700)).deadline == after(700)
    assert windows.moved(window(), after(10 * CAP_SEC)).deadline == after(CAP_SEC)
    assert window(ttl_sec=3600.0, cap_sec=60.0).deadline == after(60)


@pytest.mark.parametrize("ended", ["expired", "closed", "error"])
def test_what_is_over_cannot_be_changed(ended: str) -> None:
    over = {
        "expired": windows.expired(window(), after(1)),
        "closed": windows.closed(windows.closing(window(), "x"), after(1)),
        "error": windows.failed(window(), "x", after(1)),
    }[ended]
    changes: list[Callable[[], Window]] = [
        lambda: windows.renewed(over, 10, after(2)),
        lambda: windows.extended(over, 10, after(2)),
        lambda: windows.moved(over, after(20)),
        lambda: windows.held(over, True, after(2), CAP_SEC),
    ]
    for change in changes:
        with pytest.raises(Conflict, match=ended):
            change()
    assert windows.closing(over, "again") == over
    assert windows.failed(over, "again", after(3)) == over


def test_the_same_set_by_the_same_caller_through_the_same_door_is_the_same_window() -> None:
    mine = window()
    assert windows.same_as(lease(reason="else"), [mine]) == mine
    assert windows.same_as(lease(opened_by="bo"), [mine]) is None
    assert windows.same_as(lease(services=("switch",)), [mine]) is None
    assert windows.same_as(lease(origin="wake"), [mine]) is None
    assert windows.same_as(lease(), [windows.expired(mine, after(1))]) is None


def test_the_lease_of_a_request_slides_while_its_service_works_up_to_the_cap() -> None:
    woken = window(origin="wake", services=("switch",))
    slid = windows.at_deadline(woken, frozenset({"switch"}), after(600))
    assert (slid.state, slid.deadline) == ("opening", after(1200))
    assert windows.at_deadline(woken, frozenset({"hermes"}), after(600)).state == "expired"
    assert windows.at_deadline(slid, frozenset({"switch"}), after(CAP_SEC)).state == "expired"
    assert windows.at_deadline(window(), frozenset({"switch"}), after(600)).state == "expired"


def test_what_ends_last() -> None:
    short, long = window(), windows.new("window-2", lease(ttl_sec=900.0), NOW)
    hold = windows.new("window-3", lease(mode="hold", ttl_sec=1.0), NOW)
    assert windows.ends_last([short, long]) == long
    assert windows.ends_last([short, hold, long]) == hold
    assert windows.ends_last([windows.expired(long, after(1))]) is None
