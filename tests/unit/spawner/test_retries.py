"""Every retry declares what it changes, and waits longer than the one before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawner.retries import BACKOFF_MAX_SEC, SCALE_MIN, Way, backoff_sec, mutated

LIMITS = {
    "cpu_sec": 10.0,
    "wall_sec": 10.0,
    "memory_mb": 128,
    "processes": 16,
    "files": 256,
    "file_mb": 64,
    "disk_mb": 256,
    "output_kb": 64,
}
MOST = {"cpu_sec": 60.0, "wall_sec": 60.0, "memory_mb": 1024, "processes": 128, "disk_mb": 2048, "output_kb": 512}
WAY = Way("python", "work()", LIMITS)


@pytest.mark.parametrize(("retry", "wait"), [(1, 2), (2, 4), (3, 8), (8, 256), (9, 300), (10, 300), (1000, 300)])
def test_the_wait_doubles_up_to_five_minutes(retry: int, wait: float) -> None:
    assert backoff_sec(retry, 0.5) == wait


@given(st.integers(1, 40), st.floats(0, 1), st.floats(0, 10))
def test_luck_moves_a_wait_by_a_quarter_and_never_beyond_the_most(retry: int, luck: float, unit: float) -> None:
    middle = backoff_sec(retry, 0.5, unit_sec=unit)
    assert 0.75 * middle <= backoff_sec(retry, luck, unit_sec=unit) <= min(BACKOFF_MAX_SEC, 1.25 * middle)


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        ("timeout", "wall_sec"),
        ("cpu", "cpu_sec"),
        ("memory", "memory_mb"),
        ("processes", "processes"),
        ("output", "output_kb"),
        ("disk", "disk_mb"),
    ],
)
def test_a_limit_that_was_hit_grows_and_nothing_else_changes(kind: str, limit: str) -> None:
    change = mutated(WAY, kind, "too much", alternatives=[], most=MOST)
    assert change.as_row == {
        "kind": "longer_limit",
        "because": "too much",
        "changes": {limit: [LIMITS[limit], 2 * LIMITS[limit]]},
    }
    assert change.way.limits == {**LIMITS, limit: 2 * LIMITS[limit]}
    assert not change.is_another_task


def test_limits_stop_growing_at_the_most_and_then_less_is_asked_for() -> None:
    way, grown = WAY, []
    while (change := mutated(way, "timeout", "", alternatives=[], most=MOST)).kind == "longer_limit":
        way = change.way
        grown.append(way.limits["wall_sec"])
    assert grown == [20, 40, 60]
    assert change.as_row["changes"] == {"scale": [1.0, 0.5]}
    assert change.is_another_task


def test_after_an_error_the_jobs_own_alternatives_come_first_in_their_order() -> None:
    others = [{"task_type": "shell", "code": "make"}, {"task_type": "python", "code": "less()"}]
    first = mutated(WAY, "exited", "code 1", alternatives=others, most=MOST)
    second = mutated(first.way, "signal", "", alternatives=others, most=MOST)
    third = mutated(second.way, "exited", "", alternatives=others, most=MOST)
    assert [(one.kind, one.way.code) for one in (first, second)] == [("other_task", "make"), ("other_task", "less()")]
    assert first.as_row["changes"] == {"alternative": [0, 1], "task_type": ["python", "shell"]}
    assert (third.kind, third.way.code, third.way.scale) == ("smaller_task", "less()", 0.5)


def test_a_tool_asks_another_provider() -> None:
    tool = Way("tool", "{}", LIMITS)
    first = mutated(tool, "exited", "", alternatives=[], most=MOST, provider="local")
    second = mutated(first.way, "exited", "", alternatives=[], most=MOST, provider="far")
    assert [one.kind for one in (first, second)] == ["other_provider", "other_provider"]
    assert second.way.avoid == ("local", "far")
    assert mutated(tool, "exited", "", alternatives=[], most=MOST).kind == "smaller_task", "nobody was asked"


@pytest.mark.parametrize("kind", ["interrupted", "stale", "refused", "killed"])
def test_who_failed_through_no_fault_of_its_own_starts_afresh(kind: str) -> None:
    change = mutated(WAY, kind, "spawner ended", alternatives=[{"task_type": "shell", "code": "x"}], most=MOST)
    assert (change.kind, change.way, change.as_row["changes"]) == ("fresh_start", WAY, {})


def test_a_task_is_not_halved_for_ever() -> None:
    way = Way("python", "x", LIMITS, scale=SCALE_MIN)
    assert mutated(way, "exited", "", alternatives=[], most=MOST).kind == "fresh_start"
