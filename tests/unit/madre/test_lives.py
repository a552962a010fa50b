"""The life of a service, as observations tell it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from madre import lives
from madre.drivers import Observed
from madre.lives import FAILURES_MAX, Life

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def seen(instance: str = "101", at: float = 0, *, stopping: bool = False) -> Observed:
    return Observed(instance, after(at), stopping=stopping)


def up(at: float = 0) -> Life:
    """A service that was ordered, seen and became ready at `at`."""
    life = lives.ordered(lives.asleep(NOW), after(at))
    life, _ = lives.observed(life, seen(at=at), after(at))
    life, fact = lives.answered(life, True, after(at))
    assert (life.state, fact) == ("ready", "ready")
    return life


def crash(life: Life, at: float) -> Life:
    life, _ = lives.observed(life, None, after(at))
    return life


def test_from_order_to_ready_to_asleep() -> None:
    life = lives.ordered(lives.asleep(NOW), after(1))
    assert (life.state, life.since) == ("starting", after(1))
    life, fact = lives.observed(life, seen(at=1), after(1.1))
    assert (life.state, life.since, life.instance, fact) == ("starting", after(1), "101", None)
    assert lives.answered(life, False, after(1.2)) == (life, None)
    life, fact = lives.answered(life, True, after(1.3))
    assert (life.state, life.since, life.restarts, fact) == ("ready", after(1.3), 0, "ready")
    life = lives.told_to_stop(life, after(2))
    assert lives.observed(life, seen(stopping=True), after(2.1)) == (life, None)
    life, fact = lives.observed(life, None, after(2.2))
    assert (life.state, life.instance, fact) == ("asleep", None, "ended")
    assert life.may_start(after(2.2))


def test_a_service_started_by_hand_or_before_madre_is_seen_as_it_is() -> None:
    life, fact = lives.observed(lives.asleep(NOW), seen(at=-500), after(1))
    assert (life.state, life.run_since, life.restarts, fact) == ("starting", after(-500), 0, None)
    leaving, _ = lives.observed(lives.asleep(NOW), seen(stopping=True), after(1))
    assert leaving.state == "stopping"


def test_a_crash_waits_longer_each_time_and_ends_as_failed() -> None:
    life, pauses = up(), []
    for turn in range(FAILURES_MAX):
        life, fact = lives.observed(life, None, after(turn))
        assert fact == ("failed" if turn == FAILURES_MAX - 1 else "crashed")
        assert life.try_at is not None
        pauses.append((life.try_at - after(turn)).total_seconds())
        assert not life.may_start(after(turn))
        assert life.may_start(life.try_at)
        if turn < FAILURES_MAX - 1:
            life = lives.ordered(life, after(turn))
            life, _ = lives.observed(life, seen(str(turn), turn), after(turn))
    assert pauses == [0.2, 0.4, 0.8, 1.6]
    assert (life.state, life.is_hopeless, life.restarts) == ("failed", True, FAILURES_MAX - 1)
    assert lives.forgiven(life).may_start(after(3))
    assert not lives.forgiven(life).is_hopeless


def test_dying_before_it_is_even_seen_counts_as_a_failure() -> None:
    life, fact = lives.observed(lives.ordered(lives.asleep(NOW), NOW), None, after(1))
    assert (life.state, life.failures, fact) == ("asleep", 1, "crashed")


def test_a_long_life_forgets_earlier_failures() -> None:
    life = replace(up(), failures=FAILURES_MAX - 1)
    assert crash(life, lives.LONG_LIFE_SEC - 1).failures == FAILURES_MAX
    assert crash(life, lives.LONG_LIFE_SEC).failures == 1


def test_another_process_in_its_place_is_a_crash_that_somebody_mended() -> None:
    life, fact = lives.observed(up(), seen("202", 5), after(5))
    assert (life.state, life.restarts, fact) == ("starting", 1, "crashed")


def test_not_answering_is_unready_and_no_end() -> None:
    life, fact = lives.answered(up(), False, after(9))
    assert (life.state, life.since, life.is_up, fact) == ("unready", after(9), True, None)
    life, fact = lives.answered(life, True, after(10))
    assert (life.state, fact) == ("ready", None)


def test_one_try_may_take_so_long_and_then_it_is_given_up() -> None:
    life, _ = lives.observed(lives.ordered(lives.asleep(NOW), NOW), seen(), after(0.1))
    assert not lives.overdue(life, after(29.9), 30)
    assert lives.overdue(life, after(30), 30)
    assert not lives.overdue(up(), after(500), 30)
    life = lives.given_up(life, after(30))
    assert (life.state, life.is_hopeless) == ("stopping", True)
    life, fact = lives.observed(life, None, after(31))
    assert (life.state, fact) == ("failed", "failed")


STEPS = st.lists(
    st.tuples(
        st.floats(0, 60),
        st.one_of(
            st.builds(seen, st.sampled_from(["1", "2"]), stopping=st.booleans()),
            st.sampled_from(["gone", "ready", "unready", "order", "stop", "give up", "forgive"]),
        ),
    ),
    max_size=30,
)


@given(STEPS)
def test_whatever_is_observed_the_picture_stays_sound(steps: list[tuple[float, Observed | str]]) -> None:
    life, elapsed = lives.asleep(NOW), 0.0
    for pause, what in steps:
        elapsed += pause
        before, life = life, _stepped(life, what, after(elapsed))
        assert life.is_up == (life.state in ("starting", "ready", "unready"))
        assert not (life.is_hopeless and life.is_up)
        assert not (life.state in ("asleep", "failed") and life.instance is not None)
        assert life.restarts >= before.restarts
        if what == "gone":
            assert not life.is_up


def _stepped(life: Life, what: Observed | str, now: datetime) -> Life:
    if isinstance(what, Observed):
        return lives.observed(life, what, now)[0]
    steps: dict[str, Callable[[], Life]] = {
        "order": lambda: lives.ordered(life, now) if life.may_start(now) else life,
        "stop": lambda: lives.told_to_stop(life, now) if life.is_up else life,
        "give up": lambda: lives.given_up(life, now) if life.state == "starting" else life,
        "forgive": lambda: lives.forgiven(life),
        "gone": lambda: lives.observed(life, None, now)[0],
        "ready": lambda: lives.answered(life, True, now)[0],
        "unready": lambda: lives.answered(life, False, now)[0],
    }
    return steps[what]()
