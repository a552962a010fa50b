"""What becomes of job, daughter and attempt, for every way in which a try can end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from spawner.lives import Wish, daughter_at_end, fate, is_stale, whole_of

FAILURES = ("exited", "signal", "timeout", "cpu", "memory", "output", "disk", "processes", "refused", "interrupted")


def of(kind: str, exit_code: int | None = None, **changes: Any) -> tuple[str, str, str, bool]:
    given: dict[str, Any] = {"wish": None, "is_over": False, "tries": 1, "max_retries": 2, "auto_retry": True}
    found = fate(kind, 1 if kind == "exited" and exit_code is None else exit_code, **{**given, **changes})
    return found.attempt, found.daughter, found.job, found.retries


def test_success_ends_it() -> None:
    assert of("exited", 0) == ("success", "finished", "DONE", False)
    assert of("exited", 0, is_over=True) == ("success", "finished", "DONE", False)


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_is_tried_again_while_retries_are_left(kind: str) -> None:
    attempt = "timeout" if kind in ("timeout", "cpu") else "error"
    assert of(kind) == of(kind, tries=2) == (attempt, "restarting", "PENDING", True)
    assert of(kind, tries=3) == (attempt, "failed", "ERROR", False), "max_retries counts the tries after the first"
    assert of(kind, max_retries=0) == (attempt, "failed", "ERROR", False)


def test_without_auto_retry_a_failure_waits_for_a_hand() -> None:
    found = fate("signal", None, wish=None, is_over=False, tries=1, max_retries=2, auto_retry=False)
    assert (found.job, found.retries, found.by_hand) == ("ERROR", False, True)


@pytest.mark.parametrize("kind", FAILURES)
def test_when_the_ttl_is_over_nothing_is_tried_again(kind: str) -> None:
    assert of(kind, is_over=True) == ("timeout", "expired", "EXPIRED", False)


def test_whoever_ended_it_decides_what_it_is_called() -> None:
    assert of("killed", wish=Wish.KILL) == ("cancelled", "killed", "KILLED", False)
    assert of("killed", wish=Wish.EXPIRE) == ("timeout", "expired", "EXPIRED", False)
    assert of("killed", wish=Wish.DONE) == ("success", "finished", "DONE", False)
    assert of("killed", wish=Wish.FAILED) == ("error", "failed", "ERROR", False)
    assert of("killed") == ("cancelled", "restarting", "PENDING", True), "nobody here wished for it"


@pytest.mark.parametrize("wish", [Wish.KILL, Wish.EXPIRE])
def test_who_was_done_before_the_blow_fell_is_done(wish: Wish) -> None:
    assert of("exited", 0, wish=wish) == ("success", "finished", "DONE", False)


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ([], "DONE"),
        (["DONE", "DONE"], "DONE"),
        (["DONE", "PENDING"], None),
        (["ERROR", "RUNNING"], None),
        (["DONE", "ERROR"], "ERROR"),
        (["KILLED"], "ERROR"),
        (["EXPIRED", "DONE"], "ERROR"),
    ],
)
def test_a_whole_ends_with_the_last_of_its_parts(parts: list[str], whole: str | None) -> None:
    assert whole_of(parts) == whole


def test_the_daughter_of_a_sum_ends_as_the_sum() -> None:
    ends = {status: daughter_at_end(status) for status in ("DONE", "ERROR", "KILLED", "EXPIRED")}
    assert ends == {"DONE": "finished", "ERROR": "failed", "KILLED": "killed", "EXPIRED": "expired"}


def test_silence_is_stale_after_thirty_seconds() -> None:
    beat = datetime(2026, 11, 21, tzinfo=UTC)
    assert not is_stale(beat, beat + timedelta(seconds=30), 30)
    assert is_stale(beat, beat + timedelta(seconds=30.1), 30)
