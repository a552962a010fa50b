"""`./vx11 test`: which rings run, and that an empty one is never taken for a passed one."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from scripts.cli.failure import CommandFailed
from scripts.cli.test import RingResult, chosen_rings, present_rings, read_counts, read_failed, report
from scripts.terminal import Terminal

ALL = ["unit", "service", "house", "fleet"]
PASSED = RingResult("unit", 0, passed=12, failed=0, skipped=1)
FAILED = RingResult("service", 1, passed=3, failed=2, skipped=0)
SKIPPED = RingResult("fleet", 0, passed=0, failed=0, skipped=9)
NOTHING = RingResult("house", 5, passed=0, failed=0, skipped=0)
BROKEN = RingResult("house", 2, passed=0, failed=0, skipped=0)


def reported(*results: RingResult, strict: bool = False) -> tuple[int, str]:
    stream = io.StringIO()
    return report(results, Terminal(stream, live=False), strict=strict), stream.getvalue()


def test_all_rings_run_unless_some_are_named() -> None:
    assert chosen_rings([], quick=False, present=ALL) == ALL
    assert chosen_rings([], quick=True, present=ALL) == ["unit", "service", "house"]
    assert chosen_rings(["fleet", "unit"], quick=False, present=ALL) == ["unit", "fleet"]


@pytest.mark.parametrize("name", ["browser", "moon"])
def test_a_ring_that_is_not_there_is_said(name: str) -> None:
    with pytest.raises(CommandFailed, match=name):
        chosen_rings([name], quick=False, present=ALL)


def test_the_rings_are_the_folders_there_are(tmp_path: Path) -> None:
    for name in ("fleet", "unit", "support"):
        (tmp_path / name).mkdir()
    assert present_rings(tmp_path) == ["unit", "fleet"]


def test_passed() -> None:
    code, words = reported(PASSED)
    assert code == 0
    assert words.splitlines()[-1] == "12 passed, 0 failed, 1 skipped"


def test_failed() -> None:
    code, words = reported(PASSED, FAILED)
    assert code == 1
    assert words.splitlines()[-1] == "15 passed, 2 failed, 1 skipped"


@pytest.mark.parametrize("empty", [SKIPPED, NOTHING])
def test_an_empty_ring_is_said_loudly_and_fails_ci(empty: RingResult) -> None:
    code, words = reported(PASSED, empty)
    assert code == 0
    assert f"NOTHING RAN in: {empty.ring}" in words
    assert reported(PASSED, empty, strict=True)[0] == 1


def test_a_ring_that_broke_before_it_ran_is_bad() -> None:
    assert reported(PASSED, BROKEN)[0] == 1


@pytest.mark.parametrize(
    "result",
    [
        RingResult("unit", 1, passed=9, failed=1, skipped=0),  # nothing in it depends on the machine
        RingResult("fleet", 1, passed=9, failed=4, skipped=0),  # too many for an accident
        RingResult("fleet", 2, passed=9, failed=1, skipped=0),  # interrupted
        RingResult("fleet", 0, passed=9, failed=0, skipped=0),
    ],
)
def test_what_is_red_for_sure_is_not_run_again(result: RingResult) -> None:
    assert not result.deserves_a_second_look


def test_what_passes_only_alone_is_named_and_not_red() -> None:
    fleet = RingResult("fleet", 1, passed=9, failed=2, skipped=1)
    assert fleet.deserves_a_second_look
    after = fleet.after(RingResult("fleet", 0, passed=2, failed=0, skipped=0), ("a.test_one", "a.test_two"))
    code, words = reported(after)
    assert (code, after.passed, after.failed) == (0, 11, 0)
    assert "UNSTEADY a.test_one failed among the others" in words
    assert "UNSTEADY a.test_two" in words


@pytest.mark.parametrize(
    "again",
    [
        RingResult("fleet", 1, passed=1, failed=1, skipped=0),
        RingResult("fleet", 0, passed=1, failed=0, skipped=1),  # a failed test that skips itself has not passed
        RingResult("fleet", 5, passed=0, failed=0, skipped=0),
    ],
)
def test_what_does_not_pass_alone_stays_red(again: RingResult) -> None:
    fleet = RingResult("fleet", 1, passed=9, failed=2, skipped=1)
    assert fleet.after(again, ("a.test_one", "a.test_two")) is fleet


def test_failed_tests_are_named_as_pytest_wrote_them(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    junit.write_text(
        "<testsuites><testsuite><testcase classname='a' name='test_one'><failure/></testcase>"
        "<testcase classname='a' name='test_two'/><testcase classname='b' name='test_three'><error/></testcase>"
        "</testsuite></testsuites>"
    )
    assert read_failed(junit) == ("a.test_one", "b.test_three")


def test_counts_come_from_pytests_own_report(tmp_path: Path) -> None:
    junit = tmp_path / "junit.xml"
    junit.write_text('<testsuites><testsuite tests="10" failures="1" errors="2" skipped="3"/></testsuites>')
    assert read_counts("unit", 1, junit) == RingResult("unit", 1, passed=4, failed=3, skipped=3)
    assert read_counts("unit", 3, tmp_path / "absent") == RingResult("unit", 3, 0, 0, 0)
